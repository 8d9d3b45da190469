#include "storage/overview_postgresql_reader.h"

void
postgresql_forget_recent(struct postgresql_reader *reader)
{
    overview_recent_free(&reader->answering.recent);
    reader->answering.recent = overview_recent_new();
    reader->loaded = false;
    reader->last = reader->last_removed = 0;
}

/* The rows were rewritten, or more has gone than the list of removals keeps:
   all of recent is to be read again. */
static void
refresh_spoil(struct postgresql_reader *reader)
{
    postgresql_forget_recent(reader);
    reader->spoilt = true;
}

void
postgresql_take_state(struct postgresql_reader *reader, const PGresult *result)
{
    int64_t epoch = postgresql_number(result, 0, 0);

    if (reader->loaded && epoch != reader->epoch) {
        refresh_spoil(reader);
        return;
    }
    reader->epoch = epoch;
    overview_recent_drop_below(reader->answering.recent,
                               (uint64_t)postgresql_number(result, 0, 1) + 1);
    if (!reader->loaded)
        reader->last_removed = (uint64_t)postgresql_number(result, 0, 2);
}

/* The list of groups in a column; spoils the refresh when it is none. */
static int
take_groups(struct postgresql_reader *reader, const PGresult *result, int row,
            int column, const struct record_group **groups_r)
{
    return overview_groups_read(&reader->list, PQgetvalue(result, row, column),
                                (size_t)PQgetlength(result, row, column),
                                groups_r);
}

void
postgresql_take_removed(struct postgresql_reader *reader,
                        const PGresult *result)
{
    if (reader->spoilt || !reader->loaded)
        return;
    for (int i = 0; i < PQntuples(result); i++) {
        uint64_t id = (uint64_t)postgresql_number(result, i, 0);
        const struct record_group *groups;
        int count = take_groups(reader, result, i, 3, &groups);

        if (id > reader->last_removed + 1 || count < 0) {
            refresh_spoil(reader);
            return;
        }
        overview_recent_remove(reader->answering.recent,
                               (uint64_t)postgresql_number(result, i, 1),
                               groups, (size_t)count,
                               postgresql_number(result, i, 2) != 0);
        reader->last_removed = id;
    }
}

/* -1 with the reason in reader->why: a row is damaged. */
int
postgresql_take_recent(struct postgresql_reader *reader,
                       const PGresult *result)
{
    if (reader->spoilt)
        return 0;
    for (int i = 0; i < PQntuples(result); i++) {
        struct recent_row row = {
            .sequence = (uint64_t)postgresql_number(result, i, 0),
            .arrival = postgresql_number(result, i, 1),
            .token = postgresql_token(result, i, 2),
            .line = PQgetvalue(result, i, 6),
            .line_octets = (uint32_t)PQgetlength(result, i, 6),
        };
        int count = take_groups(reader, result, i, 5, &row.groups);

        if (count < 0)
            return why_set(&reader->why,
                           "overview: the groups of %llu in recent are"
                           " damaged",
                           (unsigned long long)row.sequence);
        row.group_count = (uint32_t)count;
        overview_recent_add(reader->answering.recent, &row);
        reader->last = row.sequence;
    }
    return 0;
}
