#include "expire/newsstore_view.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "expire/tools.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/user.h"
#include "storage/active.h"
#include "storage/store_key.h"

enum { ANSWER_TIMEOUT_MS = 60 * 1000 };

/* --- beside a server --- */

static int
open_beside(struct view *view, spool_fault_func *fault, void *context,
            struct buffer *why)
{
    uint32_t segment, end;
    uint64_t sequence;

    view->fd = tools_connect_patiently(view->config, &view->active, why);
    if (view->fd < 0)
        return -1;
    view->online = true;
    view->has_history = true;
    view->key = active_key(view->active);
    /* First how far, then what is there: what comes later is not looked at. */
    view->history_applied = active_committed(view->active);
    view->overview_applied = view->history_applied;
    active_durable(view->active, &segment, &end, &sequence);
    view->spool = spool_open_reading(view->config->pathspool, false, fault,
                                     context, why);
    if (view->spool == NULL)
        return -1;
    spool_set_durable(view->spool, segment, end);
    return 0;
}

static int
list_beside(struct view *view, const struct message_hash *from,
            struct history_entry *entries, size_t count, struct buffer *why)
{
    struct ipc_history asked = {
        .from = *from,
        .count = count < IPC_HISTORY_MAX ? (uint32_t)count : IPC_HISTORY_MAX};
    struct iovec piece = {&asked, sizeof(asked)};
    struct ipc_history_entries head;
    enum ipc_type type = 0;
    int status;

    if (ipc_write(view->fd, IPC_HISTORY, &piece, 1, why) < 0)
        return -1;
    status =
        ipc_read(view->fd, &type, &view->frame, NULL, ANSWER_TIMEOUT_MS, why);
    if (status == 0)
        return why_set(why, "the writer does not answer");
    if (status < 0)
        return -1;
    if (type != IPC_HISTORY_ENTRIES || view->frame.used < sizeof(head))
        return why_set(why, "the writer has answered something else");
    memcpy(&head, view->frame.data, sizeof(head));
    if (head.count > asked.count
        || view->frame.used
               != sizeof(head) + head.count * sizeof(struct ipc_history_entry))
        return why_set(why, "the writer has answered something else");
    for (uint32_t i = 0; i < head.count; i++) {
        struct ipc_history_entry entry;

        memcpy(&entry, view->frame.data + sizeof(head) + i * sizeof(entry),
               sizeof(entry));
        entries[i] = (struct history_entry){
            .hash = entry.hash,
            .fate = (enum history_fate)entry.fate,
            .sequence = entry.sequence,
            .token = entry.token,
            .until = entry.until,
        };
    }
    return (int)head.count;
}

/* --- alone --- */

/* Ids that the overview does not know keep their places in the table. */
static int
fill_ids(struct active *active, uint32_t to, struct buffer *why)
{
    struct buffer name = BUFFER_EMPTY;
    int status = 0;

    while (status == 0 && active_count(active) < to) {
        uint32_t id = active_count(active) + 1;

        buffer_clear(&name);
        buffer_append_format(&name, "lost.group-%u", (unsigned)id);
        status =
            active_set(active, id, name.data, name.used, 0, 0, 0, "", "", why);
    }
    buffer_free(&name);
    return status;
}

static int
take_group(void *context, const struct overview_group *row)
{
    struct active *active = context;
    struct group_marks marks = {
        .low = row->low, .high = row->high, .count = row->count};
    struct buffer why = BUFFER_EMPTY;
    int status = fill_ids(active, row->group - 1, &why);

    if (status == 0)
        status = active_set(active, row->group, row->name, strlen(row->name),
                            row->flag, row->alias, row->created, row->creator,
                            row->description, &why);
    if (status == 0)
        active_set_marks(active, row->group, &marks);
    else
        warn("overview: %s", buffer_text(&why));
    buffer_free(&why);
    return status;
}

/* The groups as the overview has them, and how far it is. */
static int
overview_take(struct view *view, struct buffer *why)
{
    const struct config *config = view->config;
    struct overview *overview;
    int status;

    if (overview_examine(config->overview, config->pathoverview, why) < 0)
        return -1;
    overview = overview_open(config->overview, config->pathoverview,
                             (size_t)config->overview_cache_octets, why);
    if (overview == NULL)
        return -1;
    view->overview_applied = overview_applied(overview);
    status = overview_groups(overview, take_group, view->active, why);
    overview_close(&overview);
    active_set_committed(view->active, view->overview_applied);
    return status;
}

static int
open_alone(struct view *view, spool_fault_func *fault, void *context,
           struct buffer *why)
{
    const struct config *config = view->config;

    /* Root's files in the store would keep the server from starting. */
    if (user_become(config, why) < 0)
        return -1;
    view->spool =
        spool_open_reading(config->pathspool, true, fault, context, why);
    if (view->spool == NULL
        || store_key_read(&view->key, config->pathdb, false, why) < 0)
        return -1;
    view->history = history_open_existing(config->pathdb,
                                          (size_t)config->history_cache_octets,
                                          &view->history_why);
    view->has_history = view->history != NULL;
    if (view->has_history)
        view->history_applied = history_applied(view->history);
    view->active = active_new((size_t)config->groups_max);
    /* It stays empty when it cannot be used. */
    (void)overview_take(view, &view->overview_why);
    return 0;
}

/* --- both --- */

static int
open_reader(struct view *view, struct buffer *why)
{
    const struct config *config = view->config;

    view->base = event_base_new();
    if (view->base == NULL)
        return why_set(why, "out of memory: event base");
    if (view->overview_why.used > 0)
        return 0;
    view->overview = overview_reader_open(
        config->overview, config->pathoverview, view->active, view->base, why);
    return view->overview != NULL ? 0 : -1;
}

int
view_open(struct view *view, const struct config *config,
          spool_fault_func *fault, void *context, struct buffer *why)
{
    int status;

    *view = (struct view){.config = config, .fd = -1};
    status = tools_server_runs(config) ? open_beside(view, fault, context, why)
                                       : open_alone(view, fault, context, why);
    if (status == 0)
        status = open_reader(view, why);
    if (status < 0)
        view_close(view);
    return status;
}

void
view_close(struct view *view)
{
    overview_reader_close(&view->overview);
    if (view->base != NULL)
        event_base_free(view->base);
    history_close(&view->history);
    spool_close(&view->spool);
    if (view->active != NULL)
        active_close(&view->active);
    if (view->fd >= 0)
        close(view->fd);
    buffer_free(&view->overview_why);
    buffer_free(&view->history_why);
    buffer_free(&view->frame);
    *view = (struct view){.fd = -1};
}

int
view_list(void *context, const struct message_hash *from,
          struct history_entry *entries, size_t count, struct buffer *why)
{
    struct view *view = context;

    if (view->history != NULL)
        return history_list(view->history, from, entries, count, why);
    return list_beside(view, from, entries, count, why);
}

void
view_ask(struct view *view, const struct overview_query *query,
         overview_done_func *done, void *context)
{
    overview_ask_now(view->overview, view->base, query, done, context);
}
