#include "ctlinnd/gencancel.h"

#include <string.h>

#include "lib/buffer.h"
#include "lib/canlock.h"
#include "lib/config.h"
#include "lib/message_id.h"

int
gencancel(struct config *config, int words, const char *const *word,
          struct buffer *answer)
{
    const char *id = word[1];
    const char *newsgroups = words > 2 ? word[2] : "control.cancel";
    struct buffer keys = BUFFER_EMPTY;

    if (!message_id_is_strict(id, strlen(id)))
        return why_set(answer, "%s is no message-ID", id);
    if (strpbrk(newsgroups, "\r\n") != NULL)
        return why_set(answer, "newsgroups are names with commas between");
    if (config_read_files(config, answer) < 0)
        return -1;
    if (config->canlockadminfile.text == NULL)
        return why_set(answer, "canlockadminfile is not set: nothing here is "
                               "locked for the admin");
    canlock_append_keys(&keys, config->canlockadminfile.text, "", id,
                        strlen(id));
    buffer_clear(answer);
    buffer_append_format(answer,
                         "From: News admin <%s>\nNewsgroups: %s\n"
                         "Subject: cmsg cancel %s\nControl: cancel %s\n"
                         "Cancel-Key: %s\n\nCancelled by the admin.",
                         config->complaints[0] != '\0' ? config->complaints
                                                       : "usenet@localhost",
                         newsgroups, id, id, buffer_text(&keys));
    buffer_free(&keys);
    return 0;
}
