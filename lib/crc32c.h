/*
 * crc32c -- the checksum of everything in the spool (Castagnoli's polynomial).
 *
 * Uses the processor's instruction where there is one.  Start with crc = 0; a
 * run of octets may be summed in pieces: crc32c(crc32c(0, a, n), b, m).
 */
#ifndef LIB_CRC32C_H
#define LIB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *octets, size_t length);
/* The same sum without the instruction; public so that a test can compare. */
uint32_t crc32c_by_table(uint32_t crc, const void *octets, size_t length);

#endif
