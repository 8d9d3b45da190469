/*
 * message-ID -- the name of an article (RFC 5536, 3.1.3; RFC 3977, 3.6).
 *
 * Always passed with its angle brackets and a length in octets.
 */
#ifndef LIB_MESSAGE_ID_H
#define LIB_MESSAGE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

enum { MESSAGE_ID_OCTETS_MAX = 250 };

/*
 * What stands for a message-ID in the store: SipHash-2-4-128 under a secret of
 * the store, so that nobody can prepare two IDs that collide.
 */
struct message_hash {
    uint8_t octets[16];
};
_Static_assert(sizeof(struct message_hash) == 16, "stored on disk");

struct message_key { /* the store's secret */
    uint8_t octets[16];
};

/* 3-250 printable ASCII octets, "<" first, ">" last, neither within, no space:
   what a command's argument and a relayed article must have. */
bool message_id_is_valid(const char *id, size_t octets);
/* Also dot-atom@dot-atom or domain literal inside: what a post must have. */
bool message_id_is_strict(const char *id, size_t octets);
struct message_hash message_id_hash(const struct message_key *key,
                                    const char *id, size_t octets);
/* The next hash above; false when there is none. */
bool message_hash_next(struct message_hash *hash);
/* Append a new message-ID that no other call anywhere returns. */
void message_id_generate(struct buffer *id, const char *host);

#endif
