/*
 * config_credentials -- the files that renews.conf names and whose contents go
 * along with it: certificates and private keys.
 *
 * Only the master reads them, once at its start and at each reload, as who it
 * is then; a process that needs them (nnrpd, feeder) finds their contents in
 * the sealed configuration, and all others do not.  Who has made of them what
 * he needs forgets them: what is left is a digest, by which a reload sees
 * whether a file has changed.
 */
#ifndef LIB_CONFIG_CREDENTIALS_H
#define LIB_CONFIG_CREDENTIALS_H

#include <stddef.h>

#include "lib/config.h"

struct buffer;
struct config_row;

enum { CONFIG_CREDENTIAL_OCTETS_MAX = 1024 * 1024 };

/* Read all that are named.  0, or -1 with "FILE:LINE: KEY: found ..., expected
   ..." in why; a private key that others may read is an error too. */
int config_read_credentials(struct config *config, struct buffer *why);
/* The contents of one, "" when it was not read, or forgotten; ended by NUL. */
const char *config_credential(const struct config *config, const char *path);
/* The path of the file number i, below config->credential_count. */
const char *config_credential_path(const struct config *config, size_t i);
/* Wipe the contents; digests stay. */
void config_forget_credentials(struct config *config);

/* why: the value of a key that names a file or ciphers is not what it should
   be.  Returns -1. */
int config_value_error(const struct config *config, const char *key,
                       const char *value, const char *found,
                       const char *expected, struct buffer *why);

/* --- for lib/config.c --- */

void config_note_origin(struct config *config, const struct config_row *row,
                        const char *value, const char *file, int line);
void config_credentials_append(const struct config *config,
                               enum config_keys keys, struct buffer *octets);
int config_credentials_parse(struct config *config, const char *octets,
                             size_t length, struct buffer *why);
size_t config_credentials_compare(const struct config *old,
                                  const struct config *new,
                                  struct buffer *changed);
void config_credentials_free(struct config *config);

#endif
