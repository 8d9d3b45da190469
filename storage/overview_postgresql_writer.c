#include "storage/overview_postgresql.h"

#include <assert.h>
#include <string.h>

#include "lib/memory.h"

/* COALESCE: a maximum of no rows is NULL. */
const char *const postgresql_writer_sql[WRITER_STATEMENTS] = {
    [WRITER_BEGIN] = "BEGIN",
    [WRITER_COMMIT] = "COMMIT",
    /* One such commit is behind all that came before. */
    [WRITER_DURABLY] = "SET LOCAL synchronous_commit = on",
    /* Another writer's epoch is a division by zero: nothing is committed. */
    [WRITER_SET_META] = "UPDATE meta SET applied = $1::int8,"
                        " settled = $2::int8, moved = $3::int8,"
                        " epoch = $4::int8 / (epoch = $4::int8)::int",
    [WRITER_LOAD] =
        "SELECT applied, settled, moved, (SELECT count(*) FROM recent),"
        " (SELECT coalesce(max(sequence), 0) FROM recent),"
        " (SELECT coalesce(max(id), 0) FROM removed) FROM meta",
    [WRITER_PUT_RECENT] =
        "INSERT INTO recent SELECT * FROM unnest($1::int8[], $2::int8[],"
        " $3::int8[], $4::int8[], $5::int8[], $6::bytea[], $7::bytea[],"
        " $8::bytea[])",
    [WRITER_GET_RECENT] = "SELECT numbers, segment, position, octets, arrival"
                          " FROM recent WHERE sequence = $1::int8",
    [WRITER_SET_RECENT] =
        "UPDATE recent SET numbers = $2::bytea WHERE sequence = $1::int8",
    [WRITER_DROP_RECENT] = "DELETE FROM recent WHERE sequence = $1::int8",
    [WRITER_LOAD_RECENT] =
        "SELECT sequence, arrival, segment, position, octets, numbers, line"
        " FROM recent WHERE sequence > $1::int8 ORDER BY sequence"
        " LIMIT $2::int8",
    [WRITER_MOVED_RECENT] = "DELETE FROM recent WHERE sequence > $1::int8"
                            " AND sequence <= $2::int8",
    [WRITER_NOTE_REMOVED] = "INSERT INTO removed VALUES ($1::int8, $2::int8,"
                            " $3::int8, $4::bytea)",
    [WRITER_TRIM_REMOVED] = "DELETE FROM removed WHERE id <= $1::int8",
    [WRITER_RECENT_PLACES] =
        "SELECT sequence, numbers FROM recent WHERE sequence >= $1::int8"
        " AND sequence <= $2::int8 ORDER BY sequence",
    [WRITER_GET_BLOCK] = "SELECT data FROM block WHERE key = $1::int8",
    [WRITER_NEXT_BLOCK] = "SELECT data, key FROM block WHERE key >= $1::int8"
                          " AND key <= $2::int8 ORDER BY key LIMIT 1",
    [WRITER_PUT_BLOCK] = "INSERT INTO block VALUES ($1::int8, $2::bytea)"
                         " ON CONFLICT (key) DO UPDATE"
                         " SET data = excluded.data",
    [WRITER_DROP_BLOCK] = "DELETE FROM block WHERE key = $1::int8",
    [WRITER_GET_ARTICLE] = "SELECT segment, position, octets, arrival"
                           " FROM article WHERE sequence = $1::int8",
    [WRITER_PUT_ARTICLES] =
        "INSERT INTO article SELECT * FROM unnest($1::int8[], $2::int8[],"
        " $3::int8[], $4::int8[], $5::int8[]) ON CONFLICT (sequence)"
        " DO UPDATE SET segment = excluded.segment,"
        " position = excluded.position, octets = excluded.octets,"
        " arrival = excluded.arrival",
    [WRITER_DROP_ARTICLES] = "DELETE FROM article WHERE sequence >= $1::int8"
                             " AND sequence <= $2::int8",
    [WRITER_MOVE_ARTICLE] =
        "UPDATE article SET segment = $2::int8, position = $3::int8,"
        " octets = $4::int8 WHERE sequence = $1::int8",
    /* What is counted here is not what the caller counts: see
       overview_put_group() in storage/overview.h. */
    [WRITER_PUT_GROUP] =
        "INSERT INTO groups AS g VALUES ($1::int8, $2::int8, $3::int8,"
        " $4::int8, $5::int8, $6::int8, 0, 0, $7::bytea, $8::bytea,"
        " $9::bytea) ON CONFLICT (id) DO UPDATE SET flag = excluded.flag,"
        " alias = excluded.alias, created = excluded.created,"
        " low = greatest(g.low, excluded.low),"
        " high = greatest(g.high, excluded.high), name = excluded.name,"
        " creator = excluded.creator, description = excluded.description",
    /* A group without a row yet (its record was damaged) gets one without a
       name, which keeps the count until the group is put. */
    [WRITER_COUNT_GROUP] =
        "INSERT INTO groups AS g VALUES ($1::int8, 0, 0, 0, 1, $2::int8,"
        " $3::int8, $4::int8, '', '', '') ON CONFLICT (id) DO UPDATE"
        " SET high = greatest(g.high, excluded.high),"
        " count = g.count + excluded.count,"
        " folded = greatest(g.folded, excluded.folded)",
    [WRITER_LESS_GROUP] = "UPDATE groups"
                          " SET count = greatest(count - $2::int8, 0)"
                          " WHERE id = $1::int8",
    [WRITER_RAISE_GROUP] =
        "INSERT INTO groups AS g VALUES ($1::int8, 0, 0, 0, 1, $2::int8, 0, 0,"
        " '', '', '') ON CONFLICT (id) DO UPDATE SET high = excluded.high"
        " WHERE g.high < excluded.high",
    [WRITER_SET_GROUP] =
        "UPDATE groups SET low = $2::int8, high = greatest(high, $3::int8),"
        " count = $4::int8, folded = $5::int8 WHERE id = $1::int8",
    [WRITER_GROUPS] = "SELECT id, flag, alias, created, low, high, count,"
                      " folded, name, creator, description FROM groups"
                      " ORDER BY id",
    [WRITER_GROUPS_RECENT] =
        "SELECT sequence, numbers FROM recent ORDER BY sequence",
};

static struct postgresql_overview *
postgresql_writer(struct overview_writer *writer)
{
    return (struct postgresql_overview *)writer;
}

static uint64_t
column(const PGresult *result, int row, int at)
{
    return (uint64_t)postgresql_number(result, row, at);
}

/* --- what the tables say --- */

int
postgresql_load(struct postgresql_overview *overview, struct buffer *why)
{
    struct overview_writer *writer = &overview->writer;
    PGresult *numbers, *groups;

    postgresql_with(overview);
    numbers = postgresql_ask(overview, WRITER_LOAD, why);
    if (numbers == NULL)
        return -1;
    writer->applied = column(numbers, 0, 0);
    writer->settled = column(numbers, 0, 1);
    overview->moved = column(numbers, 0, 2);
    writer->recent = column(numbers, 0, 3);
    writer->last_put = column(numbers, 0, 4);
    if (writer->last_put < writer->applied)
        writer->last_put = writer->applied;
    overview->last_removed = column(numbers, 0, 5);
    PQclear(numbers);
    postgresql_with(overview);
    groups = postgresql_ask(overview, WRITER_GROUPS, why);
    if (groups == NULL)
        return -1;
    for (int i = 0; i < PQntuples(groups); i++)
        if (column(groups, i, 0) <= OVERVIEW_GROUP_MAX)
            overview_writer_set_folded(writer, (uint32_t)column(groups, i, 0),
                                       column(groups, i, 7));
    PQclear(groups);
    return 0;
}

/* The list of groups in a column, borrowed from overview->list; -1 why. */
static int
list_groups(struct postgresql_overview *overview, const PGresult *result,
            int row, int at, const struct record_group **groups_r,
            struct buffer *why)
{
    int count =
        overview_groups_read(&overview->list, PQgetvalue(result, row, at),
                             (size_t)PQgetlength(result, row, at), groups_r);

    if (count < 0)
        return postgresql_damaged(overview, why, "a list of groups");
    return count;
}

/* What recent adds to the groups' rows. */
static int
count_recent(struct postgresql_overview *overview,
             struct overview_tally *tally, struct buffer *why)
{
    PGresult *rows;
    int status = 0;

    postgresql_with(overview);
    rows = postgresql_ask(overview, WRITER_GROUPS_RECENT, why);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows) && status >= 0; i++) {
        const struct record_group *groups;

        status = list_groups(overview, rows, i, 1, &groups, why);
        if (status >= 0)
            overview_tally_add(tally, &overview->writer, column(rows, i, 0),
                               groups, (size_t)status);
    }
    PQclear(rows);
    return status < 0 ? -1 : 0;
}

static struct overview_group
group_row(const PGresult *groups, int row, const struct overview_tally *tally)
{
    struct overview_group group = {
        .group = (uint32_t)column(groups, row, 0),
        .flag = (char)column(groups, row, 1),
        .alias = (uint32_t)column(groups, row, 2),
        .created = postgresql_number(groups, row, 3),
        .low = column(groups, row, 4),
        .high = column(groups, row, 5),
        .count = column(groups, row, 6),
        /* libpq puts a NUL behind every value. */
        .name = PQgetvalue(groups, row, 8),
        .creator = PQgetvalue(groups, row, 9),
        .description = PQgetvalue(groups, row, 10),
    };

    overview_tally_apply(tally, &group);
    return group;
}

int
postgresql_groups(struct overview *base, overview_group_func *func,
                  void *context, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);
    struct overview_tally tally = {0};
    PGresult *groups = NULL;
    int status = count_recent(overview, &tally, why);

    if (status == 0) {
        postgresql_with(overview);
        groups = postgresql_ask(overview, WRITER_GROUPS, why);
        status = groups != NULL ? 0 : -1;
    }
    for (int i = 0; status == 0 && i < PQntuples(groups); i++) {
        struct overview_group group = group_row(groups, i, &tally);

        /* Counted, but never put: it has no name yet. */
        if (group.name[0] != '\0' && func(context, &group) < 0)
            status = why_set(why, "group %s was not taken", group.name);
    }
    PQclear(groups);
    overview_tally_free(&tally);
    return status;
}

/* --- putting --- */

/* The arrays of a column each, of the entries from first on. */
static void
add_entries(struct postgresql_overview *overview,
            const struct overview_entry *entries, size_t count)
{
    struct postgresql_values *values = postgresql_with(overview);

    postgresql_add_array(values, MEMBER_NUMBER, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_number(values, (int64_t)entries[i].sequence);
    postgresql_add_array(values, MEMBER_NUMBER, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_number(values, entries[i].arrival);
    postgresql_add_array(values, MEMBER_NUMBER, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_number(values, entries[i].token.segment);
    postgresql_add_array(values, MEMBER_NUMBER, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_number(values, entries[i].token.offset);
    postgresql_add_array(values, MEMBER_NUMBER, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_number(values, entries[i].token.octets);
    postgresql_add_array(values, MEMBER_OCTETS, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_octets(values, entries[i].hash.octets,
                                 sizeof(entries[i].hash.octets));
    postgresql_add_array(values, MEMBER_OCTETS, count);
    for (size_t i = 0; i < count; i++) {
        buffer_clear(&overview->list);
        overview_groups_write(&overview->list, entries[i].groups,
                              entries[i].group_count);
        postgresql_member_octets(values, buffer_text(&overview->list),
                                 overview->list.used);
    }
    postgresql_add_array(values, MEMBER_OCTETS, count);
    for (size_t i = 0; i < count; i++)
        postgresql_member_octets(values, entries[i].line,
                                 entries[i].line_octets);
}

int
postgresql_put(struct overview *base, const struct overview_entry *entries,
               size_t count, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);
    struct overview_writer *writer = &overview->writer;

    assert(writer->in_transaction);
    /* A replay brings again what we have, perhaps folded already: a row in
       recent that is older than folded ones would hide those. */
    while (count > 0 && entries->sequence <= writer->last_put) {
        entries++;
        count--;
    }
    if (count == 0)
        return 0;
    assert(entries[count - 1].sequence <= INT64_MAX);
    add_entries(overview, entries, count);
    if (postgresql_run(overview, WRITER_PUT_RECENT, why) < 0)
        return -1;
    writer->last_put = entries[count - 1].sequence;
    writer->recent += count;
    return 0;
}

int
postgresql_put_group(struct overview *base, const struct overview_group *group,
                     struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);
    struct postgresql_values *values = postgresql_with(overview);

    assert(overview->writer.in_transaction);
    postgresql_add_number(values, group->group);
    postgresql_add_number(values, (unsigned char)group->flag);
    postgresql_add_number(values, group->alias);
    postgresql_add_number(values, group->created);
    postgresql_add_number(values, (int64_t)group->low);
    postgresql_add_number(values, (int64_t)group->high);
    postgresql_add_octets(values, group->name, strlen(group->name));
    postgresql_add_octets(values, group->creator, strlen(group->creator));
    postgresql_add_octets(values, group->description,
                          strlen(group->description));
    return postgresql_run(overview, WRITER_PUT_GROUP, why);
}

/* --- rows --- */

/* A statement that has one number. */
static int
run_with(struct overview_writer *writer, enum writer_statement statement,
         int64_t number, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);

    postgresql_add_number(postgresql_with(overview), number);
    return postgresql_run(overview, statement, why);
}

static PGresult *
ask_with(struct postgresql_overview *overview, enum writer_statement statement,
         int64_t number, struct buffer *why)
{
    postgresql_add_number(postgresql_with(overview), number);
    return postgresql_ask(overview, statement, why);
}

static int64_t
load_rows(struct overview_writer *writer, uint64_t after, size_t limit,
          struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);
    PGresult *rows;
    int64_t loaded;

    /* Not from 0: the index begins with what was folded and not vacuumed. */
    postgresql_add_number(
        values, (int64_t)(after > overview->moved ? after : overview->moved));
    postgresql_add_number(values, (int64_t)limit);
    rows = postgresql_ask(overview, WRITER_LOAD_RECENT, why);
    if (rows == NULL)
        return -1;
    loaded = PQntuples(rows);
    for (int i = 0; i < PQntuples(rows); i++) {
        struct recent_row row = {
            .sequence = column(rows, i, 0),
            .arrival = postgresql_number(rows, i, 1),
            .token = postgresql_token(rows, i, 2),
            .line = PQgetvalue(rows, i, 6),
            .line_octets = (uint32_t)PQgetlength(rows, i, 6),
        };
        int count = list_groups(overview, rows, i, 5, &row.groups, why);

        if (count < 0) {
            loaded = -1;
            break;
        }
        row.group_count = (uint32_t)count;
        overview_fold_add(&writer->fold, &row);
    }
    PQclear(rows);
    return loaded;
}

static void
done_block(struct overview_writer *writer)
{
    struct postgresql_overview *overview = postgresql_writer(writer);

    PQclear(overview->block);
    overview->block = NULL;
}

/* The block in the answer that came, if there is one. */
static int
read_block(struct postgresql_overview *overview, int64_t key,
           struct overview_line lines[], struct buffer *why)
{
    struct buffer reason = BUFFER_EMPTY;
    int count = overview_block_read(
        lines, overview_block_first(key), PQgetvalue(overview->block, 0, 0),
        (size_t)PQgetlength(overview->block, 0, 0), &reason);

    if (count < 0)
        postgresql_damaged(overview, why, buffer_text(&reason));
    buffer_free(&reason);
    return count;
}

static int
get_block(struct overview_writer *writer, int64_t key,
          struct overview_line lines[], struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);

    done_block(writer);
    overview->block = ask_with(overview, WRITER_GET_BLOCK, key, why);
    if (overview->block == NULL)
        return -1;
    return PQntuples(overview->block) == 0
               ? 0
               : read_block(overview, key, lines, why);
}

static int
next_block(struct overview_writer *writer, int64_t from, int64_t to,
           int64_t *key_r, struct overview_line lines[], struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);

    done_block(writer);
    postgresql_add_number(values, from);
    postgresql_add_number(values, to);
    overview->block = postgresql_ask(overview, WRITER_NEXT_BLOCK, why);
    if (overview->block == NULL)
        return -1;
    if (PQntuples(overview->block) == 0)
        return 0;
    *key_r = postgresql_number(overview->block, 0, 1);
    return read_block(overview, *key_r, lines, why);
}

static int
put_block(struct overview_writer *writer, int64_t key,
          const struct overview_line *lines, size_t count, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values;

    if (count > 0)
        overview_block_write(&overview->data, lines, count);
    /* The texts may have been those of the block as it was. */
    done_block(writer);
    if (count == 0)
        return run_with(writer, WRITER_DROP_BLOCK, key, why);
    values = postgresql_with(overview);
    postgresql_add_number(values, key);
    postgresql_add_octets(values, overview->data.data, overview->data.used);
    return postgresql_run(overview, WRITER_PUT_BLOCK, why);
}

static int
count_group(struct overview_writer *writer, const struct fold_count *count,
            struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);

    postgresql_add_number(values, count->group);
    postgresql_add_number(values, (int64_t)count->high);
    postgresql_add_number(values, (int64_t)count->count);
    postgresql_add_number(values, (int64_t)count->folded);
    return postgresql_run(overview, WRITER_COUNT_GROUP, why);
}

static void
add_articles(struct postgresql_values *values, const struct fold_row *rows,
             size_t count, size_t there)
{
    postgresql_add_array(values, MEMBER_NUMBER, there);
    for (size_t i = 0; i < count; i++)
        if (!rows[i].gone)
            postgresql_member_number(values, (int64_t)rows[i].sequence);
    postgresql_add_array(values, MEMBER_NUMBER, there);
    for (size_t i = 0; i < count; i++)
        if (!rows[i].gone)
            postgresql_member_number(values, rows[i].token.segment);
    postgresql_add_array(values, MEMBER_NUMBER, there);
    for (size_t i = 0; i < count; i++)
        if (!rows[i].gone)
            postgresql_member_number(values, rows[i].token.offset);
    postgresql_add_array(values, MEMBER_NUMBER, there);
    for (size_t i = 0; i < count; i++)
        if (!rows[i].gone)
            postgresql_member_number(values, rows[i].token.octets);
    postgresql_add_array(values, MEMBER_NUMBER, there);
    for (size_t i = 0; i < count; i++)
        if (!rows[i].gone)
            postgresql_member_number(values, rows[i].arrival);
}

static int
move_rows(struct overview_writer *writer, const struct fold_row *rows,
          size_t count, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values;
    uint64_t last = rows[count - 1].sequence;
    size_t there = 0;

    for (size_t i = 0; i < count; i++)
        there += !rows[i].gone;
    if (there > 0) {
        add_articles(postgresql_with(overview), rows, count, there);
        if (postgresql_run(overview, WRITER_PUT_ARTICLES, why) < 0)
            return -1;
    }
    values = postgresql_with(overview);
    postgresql_add_number(values, (int64_t)overview->moved);
    postgresql_add_number(values, (int64_t)last);
    if (postgresql_run(overview, WRITER_MOVED_RECENT, why) < 0)
        return -1;
    writer->recent -= there;
    overview->moved = last;
    return 0;
}

static int
recent_groups(struct overview_writer *writer, uint64_t sequence,
              const struct record_group **groups_r, size_t *count_r,
              struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    PGresult *row;
    int count = 0;
    bool found;

    /* Folded: there is no need to ask. */
    if (sequence <= overview->moved)
        return 0;
    row = ask_with(overview, WRITER_GET_RECENT, (int64_t)sequence, why);
    if (row == NULL)
        return -1;
    found = PQntuples(row) > 0;
    if (found)
        count = list_groups(overview, row, 0, 0, groups_r, why);
    PQclear(row);
    *count_r = count < 0 ? 0 : (size_t)count;
    return count < 0 ? -1 : found;
}

static int
recent_places(struct overview_writer *writer, uint64_t from, uint64_t to,
              struct overview_places *places, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);
    PGresult *rows;
    int count = 0;

    /* Not from before: as in load_rows(). */
    if (from <= overview->moved)
        from = overview->moved + 1;
    postgresql_add_number(values, (int64_t)from);
    postgresql_add_number(values, (int64_t)to);
    rows = postgresql_ask(overview, WRITER_RECENT_PLACES, why);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows) && count >= 0; i++) {
        const struct record_group *groups;

        count = list_groups(overview, rows, i, 1, &groups, why);
        if (count > 0)
            overview_places_add(places, column(rows, i, 0), groups,
                                (size_t)count);
    }
    PQclear(rows);
    return count < 0 ? -1 : 0;
}

static int
recent_begin(struct overview_writer *writer, uint64_t *sequence_r,
             struct buffer *why)
{
    (void)why; /* nothing is asked */
    *sequence_r = postgresql_writer(writer)->moved + 1;
    return 0;
}

/* A list of groups as the next value. */
static void
add_groups(struct postgresql_overview *overview,
           const struct record_group *groups, size_t count)
{
    buffer_clear(&overview->data);
    overview_groups_write(&overview->data, groups, count);
    postgresql_add_octets(&overview->values, buffer_text(&overview->data),
                          overview->data.used);
}

static int
set_recent(struct overview_writer *writer, uint64_t sequence,
           const struct record_group *groups, size_t count, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);

    postgresql_add_number(postgresql_with(overview), (int64_t)sequence);
    add_groups(overview, groups, count);
    return postgresql_run(overview, WRITER_SET_RECENT, why);
}

static int
note_removed(struct overview_writer *writer, uint64_t sequence,
             const struct record_group *groups, size_t count, bool last,
             struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);

    postgresql_add_number(values, (int64_t)++overview->last_removed);
    postgresql_add_number(values, (int64_t)sequence);
    postgresql_add_number(values, last);
    add_groups(overview, groups, count);
    return postgresql_run(overview, WRITER_NOTE_REMOVED, why);
}

static int
drop_recent(struct overview_writer *writer, uint64_t sequence,
            struct buffer *why)
{
    return run_with(writer, WRITER_DROP_RECENT, (int64_t)sequence, why);
}

/* A statement that has two. */
static int
run_with_two(struct overview_writer *writer, enum writer_statement statement,
             uint64_t first, uint64_t second, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);

    postgresql_add_number(values, (int64_t)first);
    postgresql_add_number(values, (int64_t)second);
    return postgresql_run(overview, statement, why);
}

static int
less_group(struct overview_writer *writer, uint32_t group, uint64_t count,
           struct buffer *why)
{
    return run_with_two(writer, WRITER_LESS_GROUP, group, count, why);
}

static int
drop_articles(struct overview_writer *writer, uint64_t first, uint64_t last,
              struct buffer *why)
{
    return run_with_two(writer, WRITER_DROP_ARTICLES, first, last, why);
}

static int
move_article(struct overview_writer *writer, uint64_t sequence,
             const struct token *token, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);

    postgresql_add_number(values, (int64_t)sequence);
    postgresql_add_number(values, token->segment);
    postgresql_add_number(values, token->offset);
    postgresql_add_number(values, token->octets);
    return postgresql_run(overview, WRITER_MOVE_ARTICLE, why);
}

static int
raise_group(struct overview_writer *writer, const struct record_group *place,
            struct buffer *why)
{
    return run_with_two(writer, WRITER_RAISE_GROUP, place->group,
                        place->number, why);
}

static int
put_article(struct overview_writer *writer, const struct fold_row *row,
            struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);

    add_articles(postgresql_with(overview), row, 1, 1);
    return postgresql_run(overview, WRITER_PUT_ARTICLES, why);
}

static int
set_group(struct overview_writer *writer, uint32_t group, uint64_t low,
          uint64_t high, uint64_t count, uint64_t folded, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_writer(writer);
    struct postgresql_values *values = postgresql_with(overview);

    postgresql_add_number(values, group);
    postgresql_add_number(values, (int64_t)low);
    postgresql_add_number(values, (int64_t)high);
    postgresql_add_number(values, (int64_t)count);
    postgresql_add_number(values, (int64_t)folded);
    return postgresql_run(overview, WRITER_SET_GROUP, why);
}

const struct overview_rows postgresql_rows = {
    .put_article = put_article,
    .set_group = set_group,
    .load = load_rows,
    .get_block = get_block,
    .done_block = done_block,
    .next_block = next_block,
    .put_block = put_block,
    .count_group = count_group,
    .move_rows = move_rows,
    .recent_groups = recent_groups,
    .recent_places = recent_places,
    .recent_begin = recent_begin,
    .set_recent = set_recent,
    .drop_recent = drop_recent,
    .note_removed = note_removed,
    .less_group = less_group,
    .raise_group = raise_group,
    .drop_articles = drop_articles,
    .move_article = move_article,
};

int
postgresql_locate(struct overview *base, uint64_t sequence,
                  struct token *token_r, int64_t *arrival_r,
                  struct buffer *why)
{
    static const struct {
        enum writer_statement statement;
        int token;   /* column */
        int arrival; /* column */
    } places[] = {
        {WRITER_GET_RECENT, 1, 4},
        {WRITER_GET_ARTICLE, 0, 3},
    };
    struct postgresql_overview *overview = postgresql_overview(base);
    int found = 0;

    for (size_t i = 0; found == 0 && i < sizeof(places) / sizeof(places[0]);
         i++) {
        PGresult *row =
            ask_with(overview, places[i].statement, (int64_t)sequence, why);

        if (row == NULL)
            return -1;
        found = PQntuples(row) > 0;
        if (found) {
            *token_r = postgresql_token(row, 0, places[i].token);
            *arrival_r = postgresql_number(row, 0, places[i].arrival);
        }
        PQclear(row);
    }
    return found;
}
