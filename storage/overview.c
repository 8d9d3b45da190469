#include "storage/overview.h"

#include <event2/event.h>
#include <string.h>

#include "lib/buffer.h"
#include "storage/overview_backend.h"
#include "storage/overview_writer.h"

static const struct overview_ops *const backends[] = {
    &overview_sqlite,
    &overview_postgresql,
};

/* url is a backend's name, alone or with ":" and what only it understands. */
static const struct overview_ops *
backend_find(const char *url, struct buffer *why)
{
    size_t octets = strcspn(url, ":");

    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        if (strlen(backends[i]->name) == octets
            && memcmp(backends[i]->name, url, octets) == 0)
            return backends[i];
    why_set(why, "there is no overview of the kind '%s'", url);
    return NULL;
}

/* --- the writer --- */

struct overview *
overview_open(const char *url, const char *path, size_t cache_octets,
              struct buffer *why)
{
    const struct overview_ops *ops = backend_find(url, why);

    return ops != NULL ? ops->open(url, path, cache_octets, why) : NULL;
}

int
overview_examine(const char *url, const char *path, struct buffer *why)
{
    const struct overview_ops *ops = backend_find(url, why);

    return ops != NULL ? ops->examine(url, path, why) : -1;
}

char *
overview_rebuild_begin(const char *url, const char *path, bool resume,
                       struct buffer *why)
{
    const struct overview_ops *ops = backend_find(url, why);

    return ops != NULL ? ops->rebuild_begin(url, path, resume, why) : NULL;
}

int
overview_rebuild_end(const char *url, const char *path, struct buffer *why)
{
    const struct overview_ops *ops = backend_find(url, why);

    return ops != NULL ? ops->rebuild_end(url, path, why) : -1;
}

void
overview_close(struct overview **overview)
{
    if (*overview == NULL)
        return;
    (*overview)->ops->close(*overview);
    *overview = NULL;
}

uint64_t
overview_applied(const struct overview *overview)
{
    return overview->ops->applied(overview);
}

int
overview_groups(struct overview *overview, overview_group_func *func,
                void *context, struct buffer *why)
{
    return overview->ops->groups(overview, func, context, why);
}

void
overview_settle(struct overview *overview, uint64_t sequence)
{
    overview->ops->settle(overview, sequence);
}

uint64_t
overview_settled(const struct overview *overview)
{
    return overview->ops->settled(overview);
}

int
overview_begin(struct overview *overview, struct buffer *why)
{
    return overview->ops->begin(overview, why);
}

int
overview_put(struct overview *overview, const struct overview_entry *entries,
             size_t count, struct buffer *why)
{
    return overview->ops->put(overview, entries, count, why);
}

int
overview_put_group(struct overview *overview,
                   const struct overview_group *group, struct buffer *why)
{
    return overview->ops->put_group(overview, group, why);
}

int
overview_remove(struct overview *overview, uint64_t sequence,
                const struct record_group *groups, size_t group_count,
                bool last, struct buffer *why)
{
    return overview->ops->remove(overview, sequence, groups, group_count, last,
                                 why);
}

int
overview_remove_ranges(struct overview *overview,
                       const struct expired_range *ranges, size_t count,
                       uint64_t *removed_r, struct buffer *why)
{
    return overview->ops->remove_ranges(overview, ranges, count, removed_r,
                                        why);
}

int
overview_drop(struct overview *overview, const uint64_t *sequences,
              size_t count, struct buffer *why)
{
    return overview->ops->drop(overview, sequences, count, why);
}

int
overview_mend(struct overview *overview, const struct overview_entry *entry,
              struct buffer *why)
{
    return overview_writer_mend(overview, entry, why);
}

int
overview_recount(struct overview *overview, uint32_t group, uint64_t low,
                 struct buffer *why)
{
    return overview_writer_recount(overview, group, low, why);
}

int
overview_move(struct overview *overview, uint64_t sequence,
              const struct token *token, struct buffer *why)
{
    return overview->ops->move(overview, sequence, token, why);
}

int
overview_commit(struct overview *overview, uint64_t applied,
                struct buffer *why)
{
    return overview->ops->commit(overview, applied, why);
}

int
overview_resume(struct overview *overview, struct buffer *why)
{
    return overview->ops->resume(overview, why);
}

int
overview_fold(struct overview *overview, size_t keep, struct buffer *why)
{
    return overview->ops->fold(overview, keep, why);
}

int
overview_recent_begin(struct overview *overview, uint64_t *sequence_r,
                      struct buffer *why)
{
    return overview->ops->recent_begin(overview, sequence_r, why);
}

size_t
overview_recent(const struct overview *overview)
{
    return overview->ops->recent(overview);
}

uint64_t
overview_log_octets(const struct overview *overview)
{
    return overview->ops->log_octets(overview);
}

int
overview_checkpoint(struct overview *overview, uint64_t *left_r,
                    struct buffer *why)
{
    return overview->ops->checkpoint(overview, left_r, why);
}

int
overview_flush(struct overview *overview, struct buffer *why)
{
    return overview->ops->flush(overview, why);
}

int
overview_upkeep(struct overview *overview, struct buffer *why)
{
    return overview->ops->upkeep(overview, why);
}

int
overview_restart_log(struct overview *overview, struct buffer *why)
{
    return overview->ops->restart_log(overview, why);
}

int
overview_locate(struct overview *overview, uint64_t sequence,
                struct token *token_r, int64_t *arrival_r, struct buffer *why)
{
    return overview->ops->locate(overview, sequence, token_r, arrival_r, why);
}

/* --- readers --- */

struct overview_reader *
overview_reader_open(const char *url, const char *path,
                     const struct active *active, struct event_base *base,
                     struct buffer *why)
{
    const struct overview_ops *ops = backend_find(url, why);

    return ops != NULL ? ops->reader_open(url, path, active, base, why) : NULL;
}

void
overview_reader_close(struct overview_reader **reader)
{
    if (*reader == NULL)
        return;
    (*reader)->ops->reader_close(*reader);
    *reader = NULL;
}

struct overview_request *
overview_ask(struct overview_reader *reader,
             const struct overview_query *query, overview_done_func *done,
             void *context)
{
    return reader->ops->ask(reader, query, done, context);
}

void
overview_forget(struct overview_request *request)
{
    request->reader->ops->forget(request);
}

void
overview_reader_turn_ended(struct overview_reader *reader)
{
    reader->ops->turn_ended(reader);
}

struct asked {
    overview_done_func *done;
    void *context;
    bool answered;
};

static void
take_answer(void *context, const struct overview_answer *answer)
{
    struct asked *asked = context;

    asked->answered = true;
    asked->done(asked->context, answer);
}

void
overview_ask_now(struct overview_reader *reader, struct event_base *base,
                 const struct overview_query *query, overview_done_func *done,
                 void *context)
{
    struct asked asked = {.done = done, .context = context};

    (void)overview_ask(reader, query, take_answer, &asked);
    while (!asked.answered)
        event_base_loop(base, EVLOOP_ONCE);
    overview_reader_turn_ended(reader);
}
