/*
 * config_private -- the files of a configuration: what config_text.c reads,
 * and what config.c passes on.
 */
#ifndef LIB_CONFIG_PRIVATE_H
#define LIB_CONFIG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct config;
struct config_row;

enum { CONFIG_FILE_OCTETS_MAX = 16 * 1024 * 1024 };

/* This file is a part of it (config->files). */
void config_file_note(struct config *config, const char *path);

/* Append how many octets the file of this key has (-1: there is none), and
   they. */
void config_file_append(const struct config_row *row,
                        const struct config *config, struct buffer *to);
/*
 * The contents of all keys of KIND_FILE, in the order of the table: append
 * them; take them from *at_r, which moves behind them (0, or -1 with why);
 * free them.
 */
void config_files_append(const struct config *config, bool with_secrets,
                         struct buffer *to);
int config_files_take(struct config *config, const char **at_r, size_t *left_r,
                      struct buffer *why);
void config_files_free(struct config *config);

#endif
