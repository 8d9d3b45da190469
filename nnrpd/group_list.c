/*
 * group_list -- see group_list.h.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/wildmat.h"
#include "nnrpd/group_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

enum { GROUPS_PER_ROW = 4 }; /* of other lists: they cost so much less */

struct group_list {
    struct session *session;
    char *wildmat; /* NULL: all */
    int64_t since;
    group_line_func *line;
    uint32_t next; /* id */
    uint32_t last;
};

static bool
group_list_wants(const struct group_list *list, uint32_t group)
{
    struct active *active = list->session->worker->active;
    size_t octets;
    const char *name;

    if (active_flag(active, group) == 0)
        return false;
    if (list->since > 0
        && active_origin(active, group, NULL, NULL) < list->since)
        return false;
    name = active_name(active, group, &octets);
    /* A name that begins with a dot would need stuffing that old readers do
       not undo in lists. */
    if (name[0] == '.')
        return false;
    if (!access_reads_group(&list->session->access, name, octets))
        return false;
    return list->wildmat == NULL
           || wildmat_match(list->wildmat, strlen(list->wildmat), name,
                            octets);
}

/* A few lines; returns whether these were the last ones. */
static bool
group_list_write(struct group_list *list, struct buffer *text)
{
    struct active *active = list->session->worker->active;
    unsigned i;

    for (i = 0; i < GROUPS_PER_ROW && list->next <= list->last; i++) {
        if (group_list_wants(list, list->next))
            list->line(active, list->next, text);
        list->next++;
    }
    return list->next > list->last;
}

static enum step
group_list_step(void *context)
{
    struct group_list *list = context;
    struct session *session = list->session;
    struct buffer text = BUFFER_EMPTY;
    bool done = false, spent = false;

    while (!done && !spent) {
        done = group_list_write(list, &text);
        spent = session_spend(session, 1);
    }
    if (done)
        buffer_append_text(&text, ".\r\n");
    session_write(session, text.data, text.used);
    buffer_free(&text);
    return done ? STEP_DONE : STEP_MORE;
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
