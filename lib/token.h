/*
 * token -- where in the spool a record lies.  A hint: compaction may have
 * moved it, so whoever reads it compares the sequence number it finds there.
 */
#ifndef LIB_TOKEN_H
#define LIB_TOKEN_H

#include <stdint.h>

struct token {
    uint32_t segment; /* number of the segment; 0: no token */
    uint32_t offset;  /* of the record within it, octets */
    uint32_t octets;  /* length of the whole record */
    uint32_t zero;
};
_Static_assert(sizeof(struct token) == 16, "stored on disk");

#endif
