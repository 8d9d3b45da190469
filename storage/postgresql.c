#include "storage/postgresql.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

/* --- connecting --- */

/*
 * What comes before the URL it may change, what comes behind it may not.  A
 * broken network is noticed in seconds, not in the hours of TCP's own.
 */
enum { PARAMETERS = 9 };
struct parameters {
    const char *keywords[PARAMETERS];
    const char *values[PARAMETERS];
};

static struct parameters
parameters(const char *url, const char *name)
{
    return (struct parameters){
        .keywords = {"connect_timeout", "tcp_user_timeout", "keepalives_idle",
                     "keepalives_interval", "keepalives_count",
                     "target_session_attrs", "dbname", "application_name"},
        .values = {"10", "15000", "10", "5", "3", "any", url, name},
    };
}
_Static_assert(POSTGRESQL_CONNECT_SECONDS == 10, "stands above as text");

/* What the server remarks on a statement is no outcome. */
static void
take_notice(void *context, const char *message)
{
    (void)context;
    debug("overview: %s", message);
}

static PGconn *
with_notices(PGconn *db)
{
    (void)PQsetNoticeProcessor(db, take_notice, NULL); /* the one before */
    return db;
}

PGconn *
postgresql_connect_start(const char *url, const char *name)
{
    struct parameters with = parameters(url, name);

    return with_notices(PQconnectStartParams(with.keywords, with.values, 1));
}

PGconn *
postgresql_connect(const char *url, const char *name)
{
    struct parameters with = parameters(url, name);

    return with_notices(PQconnectdbParams(with.keywords, with.values, 1));
}

int
postgresql_why(struct buffer *why, const char *what, const char *message)
{
    struct buffer line = BUFFER_EMPTY;

    for (; *message != '\0'; message++)
        if (*message != '\n' && *message != '\t')
            buffer_append_char(&line, *message);
        else if (line.used > 0 && line.data[line.used - 1] != ' '
                 && message[1] != '\0')
            buffer_append_char(&line, ' ');
    why_set(why, "overview: %s: %s", what, buffer_text(&line));
    buffer_free(&line);
    return -1;
}

bool
postgresql_is_passing(const char *sqlstate)
{
    /* Connections, resources, an operator, a system; a deadlock and the like,
       a lock that did not come. */
    static const char *const classes[] = {"08", "53", "57", "58", "40", "55"};

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (sqlstate != NULL && strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

/* --- parameters --- */

void
postgresql_values_clear(struct postgresql_values *values)
{
    buffer_clear(&values->octets);
    values->count = 0;
}

void
postgresql_values_free(struct postgresql_values *values)
{
    buffer_free(&values->octets);
    values->count = 0;
}

static void
value_begin(struct postgresql_values *values)
{
    assert(values->count < POSTGRESQL_VALUES_MAX);
    values->offsets[values->count] = values->octets.used;
    values->lengths[values->count++] = 0;
}

static void
value_append(struct postgresql_values *values, const void *octets,
             size_t length)
{
    buffer_append(&values->octets, octets, length);
    values->lengths[values->count - 1] += (int)length;
}

static void
append_32(struct postgresql_values *values, uint32_t number)
{
    number = htobe32(number);
    value_append(values, &number, sizeof(number));
}

static void
append_64(struct postgresql_values *values, int64_t number)
{
    uint64_t wire = htobe64((uint64_t)number);

    value_append(values, &wire, sizeof(wire));
}

void
postgresql_add_number(struct postgresql_values *values, int64_t number)
{
    value_begin(values);
    append_64(values, number);
}

void
postgresql_add_octets(struct postgresql_values *values, const void *octets,
                      size_t length)
{
    value_begin(values);
    value_append(values, octets, length);
}

/* One dimension, no NULLs, from 1 on. */
void
postgresql_add_array(struct postgresql_values *values,
                     enum postgresql_member member, size_t count)
{
    value_begin(values);
    append_32(values, 1);
    append_32(values, 0);
    append_32(values, member);
    append_32(values, (uint32_t)count);
    append_32(values, 1);
}

void
postgresql_member_number(struct postgresql_values *values, int64_t number)
{
    append_32(values, sizeof(number));
    append_64(values, number);
}

void
postgresql_member_octets(struct postgresql_values *values, const void *octets,
                         size_t length)
{
    append_32(values, (uint32_t)length);
    value_append(values, octets, length);
}

static void
statement_name(char name[16], unsigned statement)
{
    snprintf(name, 16, "s%u", statement);
}

int
postgresql_send(PGconn *db, unsigned statement,
                const struct postgresql_values *values)
{
    static const int binary[POSTGRESQL_VALUES_MAX] = {1, 1, 1, 1, 1,
                                                      1, 1, 1, 1, 1};
    const char *pointers[POSTGRESQL_VALUES_MAX];
    const char *octets = buffer_text(&values->octets);
    char name[16];

    for (int i = 0; i < values->count; i++)
        pointers[i] = octets + values->offsets[i];
    statement_name(name, statement);
    return PQsendQueryPrepared(db, name, values->count, pointers,
                               values->lengths, binary, 1);
}

int
postgresql_send_prepare(PGconn *db, unsigned statement, const char *sql)
{
    char name[16];

    statement_name(name, statement);
    return PQsendPrepare(db, name, sql, 0, NULL);
}

/* --- results --- */

int64_t
postgresql_number(const PGresult *result, int row, int column)
{
    uint64_t wire;

    assert(PQgetlength(result, row, column) == sizeof(wire)
           && "every number is a bigint and not NULL");
    memcpy(&wire, PQgetvalue(result, row, column), sizeof(wire));
    return (int64_t)be64toh(wire);
}

struct token
postgresql_token(const PGresult *result, int row, int column)
{
    return (struct token){
        .segment = (uint32_t)postgresql_number(result, row, column),
        .offset = (uint32_t)postgresql_number(result, row, column + 1),
        .octets = (uint32_t)postgresql_number(result, row, column + 2),
    };
}
