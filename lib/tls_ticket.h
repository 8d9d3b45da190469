/*
 * tls_ticket -- the keys that session tickets are sealed with.
 *
 * All workers have the same, so that a client that comes back resumes its
 * session whoever serves it now.  The master makes them and hands them on;
 * they are never stored.  Each TLS_TICKET_SECONDS the newest becomes the
 * second, and so on: who has the keys learns what was said during the last
 * hours, not of last week.
 */
#ifndef LIB_TLS_TICKET_H
#define LIB_TLS_TICKET_H

enum {
    TLS_TICKET_KEYS = 3,
    TLS_TICKET_SECONDS = 3600,
    /* A session is resumed so long: while its ticket's key is there. */
    TLS_SESSION_SECONDS = (TLS_TICKET_KEYS - 1) * TLS_TICKET_SECONDS,
};

struct tls_ticket_key {
    unsigned char name[16];
    unsigned char cipher[32]; /* AES-256 */
    unsigned char mac[32];    /* HMAC with SHA-256 */
};

/* The first seals; all open.  A key of zeroes is none. */
struct tls_tickets {
    struct tls_ticket_key keys[TLS_TICKET_KEYS];
};
_Static_assert(sizeof(struct tls_tickets) == 240, "goes as a message");

/* A new first key; the last is gone. */
void tls_tickets_rotate(struct tls_tickets *tickets);

#endif
