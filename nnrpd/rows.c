/*
 * rows -- see rows.h.
 */
#include <string.h>

#include "lib/command_line.h"
#include "lib/message_id.h"
#include "nnrpd/rows.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

/* No number outside the group's marks is asked for: it names no article. */
static void
rows_clamp(struct rows *rows, const struct group_marks *marks)
{
    if (rows->low < marks->low)
        rows->low = marks->low;
    if (rows->high > marks->high)
        rows->high = marks->high;
}

bool
rows_parse(struct rows *rows, struct session *session, const char *argument)
{
    struct group_marks marks;

    *rows = (struct rows){0};
    if (argument != NULL && argument[0] == '<') {
        rows->id = argument;
        if (message_id_is_valid(argument, strlen(argument)))
            return true;
        session_reply(session, "430 No such article");
        return false;
    }
    if (argument != NULL
        && !article_range_parse(argument, &rows->low, &rows->high)) {
        session_reply_bad(session, "501 Bad range or message-ID");
        return false;
    }
    if (session->group == 0) {
        session_reply(session, "412 No newsgroup selected");
        return false;
    }
    rows->group = session->group;
    if (argument == NULL) {
        rows->current = true;
        rows->low = rows->high = session->number;
        if (session->number == 0) {
            session_reply(session, "420 No current article");
            return false;
        }
    }
    marks = active_marks(session->worker->active, session->group);
    rows_clamp(rows, &marks);
    return true;
}
