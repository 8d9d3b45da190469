/*
 * submission -- an article on its way to the writer: checked, its overview
 * line begun, the places in it that matter marked.
 *
 * A worker, feeder or newsimport builds one and sends it as IPC_ARTICLE; a
 * tool with no server gives it to store_submit() itself.  The article is as it
 * will be stored but for Xref, which the writer puts in at xref_offset: Path
 * has our name, and no Xref is in it.  The writer checks every offset again.
 */
#ifndef STORAGE_SUBMISSION_H
#define STORAGE_SUBMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message_id.h"

struct active;
struct article;
struct buffer;

enum submission_flag {
    SUBMISSION_POSTED = 1 << 0,   /* by one of our posters: group flag 'n'
                                     refuses it */
    SUBMISSION_RESUBMIT = 1 << 1, /* may already be stored by a writer that
                                     died: then it is answered as stored */
    SUBMISSION_APPROVED = 1 << 2, /* has Approved: may enter group flag 'm' */
    SUBMISSION_REMOVES = 1 << 3,  /* is a cancel, or has Supersedes */
    SUBMISSION_TRASH = 1 << 4, /* where none of its groups is here it goes into
                                  junk */
};

/* The fixed head of IPC_ARTICLE's payload.  Behind it: group_count ids (4
   octets each), the overview line, the article; no padding between. */
struct submission {
    uint64_t cookie; /* the sender's; comes back in the outcome */
    struct message_hash hash;
    uint32_t flags;             /* enum submission_flag */
    uint32_t group_count;       /* ids of living groups, no id twice */
    uint32_t overview_octets;   /* "Subject<TAB>...<TAB>References" */
    uint32_t article_octets;    /* without Xref, ".CRLF" included */
    uint32_t xref_offset;       /* where "Xref: ...CRLF" goes: the end of the
                                   header fields, before the empty line */
    uint32_t body_offset;       /* in the article without Xref */
    uint32_t lines;             /* of the body */
    uint32_t bytes;             /* :bytes, Xref not counted */
    uint32_t body_crc;          /* crc32c from body_offset to the end */
    uint32_t message_id_offset; /* in the article, of "<" */
    uint32_t message_id_octets;
    uint32_t peer; /* who fed it: 0 local, else a number from config; for
                      the record head */
};
_Static_assert(sizeof(struct submission) == 72, "payload");

/* The parts of a payload, all pointing into it. */
struct submission_view {
    struct submission head; /* a copy */
    const uint32_t *groups; /* may be unaligned: use memcpy to read one */
    const char *overview;
    const char *article;
};

/*
 * Build the payload for an article (parsed, and checked by article_check_* or
 * made by article_inject()).  With prepend_path, pathhost is put in front of
 * Path unless it is there already; an Xref field is left out.  The groups are
 * the living ones among Newsgroups (aliases resolved, none twice).  Returns
 * 0; -1 with the text of the refusal when none of its groups is carried here.
 */
int submission_build(struct buffer *payload, const struct article *article,
                     const struct active *active, const char *pathhost,
                     bool prepend_path, uint32_t flags, uint64_t cookie,
                     struct buffer *why);
/* Mark a built payload as RESUBMIT. */
void submission_mark_resubmit(struct buffer *payload);
/* Take a payload apart and check it.  0, or -1 with why. */
int submission_parse(struct submission_view *view, const void *payload,
                     size_t octets, struct buffer *why);

#endif
