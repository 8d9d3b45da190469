/*
 * group_list -- see group_list.h.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "lib/wildmat.h"
#include "nnrpd/group_list.h"
#include "nnrpd/ready_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

enum { LINES_PER_ROW = 4 }; /* of other lists: they cost so much less */

struct group_list {
    struct session *session;
    char *wildmat; /* NULL: all */
    int64_t since;
    group_line_func *line;
    uint32_t next; /* id */
    uint32_t last;
};

bool
group_list_names(const struct active *active, const struct access *access,
                 uint32_t group)
{
    size_t octets;
    const char *name;

    if (active_flag(active, group) == 0)
        return false;
    name = active_name(active, group, &octets);
    /* A name that begins with a dot would need stuffing that old readers do
       not undo in lists. */
    return name[0] != '.' && access_reads_group(access, name, octets);
}

static bool
group_list_wants(const struct group_list *list, uint32_t group)
{
    struct active *active = list->session->worker->active;
    size_t octets;
    const char *name;

    if (!group_list_names(active, &list->session->access, group))
        return false;
    if (list->since > 0
        && active_origin(active, group, NULL, NULL) < list->since)
        return false;
    if (list->wildmat == NULL)
        return true;
    name = active_name(active, group, &octets);
    return wildmat_match(list->wildmat, strlen(list->wildmat), name, octets);
}

/* Group by group, a few at a time. */
static void
group_list_walk(struct group_list *list)
{
    struct session *session = list->session;
    struct buffer text = BUFFER_EMPTY;
    bool spent = false;

    while (list->next <= list->last && !spent) {
        for (int i = 0; i < LINES_PER_ROW && list->next <= list->last; i++) {
            if (group_list_wants(list, list->next))
                list->line(session->worker->active, list->next, &text);
            list->next++;
        }
        spent = session_spend(session, 1);
    }
    session_write(session, text.data, text.used);
    buffer_free(&text);
}

/* A block of groups, of which the lines are at hand, or are after this. */
static void
group_list_write_block(struct group_list *list)
{
    struct session *session = list->session;
    struct ready_lists *lists = session->worker->ready_lists;
    uint32_t number = active_block(list->next);
    const struct ready_block *block;
    unsigned lines;

    if (stream_is_compressed(session->stream))
        block = ready_lists_packed_block(lists, list->line, &session->access,
                                         number, &lines);
    else
        block = ready_lists_block(lists, list->line, &session->access, number,
                                  &lines);
    if (block->packed.used == 0
        || !stream_splice(session->stream, block->packed.data,
                          block->packed.used))
        session_write(session, block->text.data, block->text.used);
    list->next = (number + 1) * ACTIVE_BLOCK;
    (void)session_spend(session, (lines + LINES_PER_ROW - 1) / LINES_PER_ROW);
}

static enum step
group_list_step(void *context)
{
    struct group_list *list = context;

    if (list->wildmat == NULL && list->since == 0)
        group_list_write_block(list);
    else
        group_list_walk(list);
    if (list->next <= list->last)
        return STEP_MORE;
    session_write(list->session, ".\r\n", 3);
    return STEP_DONE;
}

static void
group_list_free(void *context)
{
    struct group_list *list = context;

    free(list->wildmat);
    free(list);
}

static const struct work_kind group_list_kind = {group_list_step,
                                                 group_list_free};

void
group_list_begin(struct session *session, const char *first,
                 const char *wildmat, int64_t since, group_line_func *line)
{
    struct active *active = session->worker->active;
    struct buffer why = BUFFER_EMPTY;
    struct group_list *list;

    if (wildmat != NULL && wildmat_check(wildmat, strlen(wildmat), &why) < 0) {
        session_reply_bad(session, "501 Bad wildmat: %s", buffer_text(&why));
        buffer_free(&why);
        return;
    }
    list = xcalloc(1, sizeof *list);
    list->session = session;
    list->wildmat = wildmat == NULL ? NULL : xstrdup(wildmat);
    list->since = since;
    list->line = line;
    list->next = 1;
    list->last = active_count(active);
    /* One group by its name, as newsreaders ask for each: no walk. */
    if (wildmat != NULL && strpbrk(wildmat, "*?[]!,\\@") == NULL) {
        list->next = active_find(active, wildmat, strlen(wildmat));
        list->last = list->next;
        if (list->next == 0)
            list->next = 1;
    }
    session_reply(session, "%s", first);
    session_begin(session, &group_list_kind, list);
}
