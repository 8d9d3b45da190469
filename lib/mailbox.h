/*
 * mailbox -- does a From header field name someone (RFC 5322, 3.4)?
 *
 * Strict about the address, which must have both its sides, and lenient about
 * the name before it: dots and octets beyond ASCII are taken in it as they
 * come, since most newsreaders write them.
 */
#ifndef LIB_MAILBOX_H
#define LIB_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

/* One mailbox or more, with commas between: "a@b.example (A)", "A <a@b>". */
bool mailbox_list_is_valid(const char *text, size_t octets);

#endif
