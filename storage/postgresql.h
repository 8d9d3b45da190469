/*
 * postgresql -- what the overview's writer and readers need of libpq: how to
 * connect, and values in PostgreSQL's binary form, which is big-endian.
 *
 * Every value goes as a bound parameter, never within the text of a statement.
 * Columns are bigint and bytea alone: octets from outside may be no text of
 * the database's encoding.
 */
#ifndef STORAGE_POSTGRESQL_H
#define STORAGE_POSTGRESQL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buffer.h"
#include "lib/token.h"

enum { POSTGRESQL_VALUES_MAX = 10, POSTGRESQL_CONNECT_SECONDS = 10 };

/* --- connecting --- */

/* Begin to connect, for PQconnectPoll(); name is what the database's admin
   sees.  Never NULL; PQstatus() tells. */
PGconn *postgresql_connect_start(const char *url, const char *name);
/* Connect and wait for it, POSTGRESQL_CONNECT_SECONDS at most. */
PGconn *postgresql_connect(const char *url, const char *name);
/* What a connection or a result says, in one line.  Always -1. */
int postgresql_why(struct buffer *why, const char *what, const char *message);
/* Is this an error of the moment (a shutdown, no room, a timeout), after which
   the same may be done again?  NULL: none has a code. */
bool postgresql_is_passing(const char *sqlstate);

/* --- parameters --- */

struct postgresql_values {
    struct buffer octets;
    size_t offsets[POSTGRESQL_VALUES_MAX];
    int lengths[POSTGRESQL_VALUES_MAX];
    int count;
};

void postgresql_values_clear(struct postgresql_values *values);
void postgresql_values_free(struct postgresql_values *values);
void postgresql_add_number(struct postgresql_values *values, int64_t number);
void postgresql_add_octets(struct postgresql_values *values,
                           const void *octets, size_t length);
/* An array of bigint or of bytea, of so many members, which follow. */
enum postgresql_member { MEMBER_NUMBER = 20, MEMBER_OCTETS = 17 };
void postgresql_add_array(struct postgresql_values *values,
                          enum postgresql_member member, size_t count);
void postgresql_member_number(struct postgresql_values *values,
                              int64_t number);
void postgresql_member_octets(struct postgresql_values *values,
                              const void *octets, size_t length);

/* Send the prepared statement of this number with these values; results come
   in binary form.  libpq's 1, or 0 on failure. */
int postgresql_send(PGconn *db, unsigned statement,
                    const struct postgresql_values *values);
/* Prepare it, in a pipeline. */
int postgresql_send_prepare(PGconn *db, unsigned statement, const char *sql);

/* --- results --- */

int64_t postgresql_number(const PGresult *result, int row, int column);
/* Columns segment, position, octets. */
struct token postgresql_token(const PGresult *result, int row, int column);

#endif
