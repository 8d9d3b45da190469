/*
 * cmd -- the handlers of the command table, by family: each cmd_*.c has one.
 */
#ifndef NNRPD_CMD_H
#define NNRPD_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "nnrpd/command.h"

/* The first line of all (RFC 3977, 5.1). */
void cmd_greet(struct session *session);

/* cmd_article.c: RFC 3977, 6.2 */
command_func cmd_compress, cmd_starttls;
command_func cmd_article, cmd_body, cmd_head, cmd_stat;
/* cmd_auth.c: RFC 4643, 2.3 */
command_func cmd_authinfo_pass, cmd_authinfo_user;
/* cmd_sasl.c: RFC 4643, 2.4 */
command_func cmd_authinfo_sasl;
/* cmd_group.c: RFC 3977, 6.1 */
command_func cmd_group, cmd_last, cmd_listgroup, cmd_next;
/* cmd_hdr.c: RFC 3977, 8.5; RFC 2980, 2.6 and 2.9 */
command_func cmd_hdr, cmd_xhdr, cmd_xpat;
/* cmd_list.c: RFC 3977, 7.6; RFC 6048 */
command_func cmd_list_active, cmd_list_active_times, cmd_list_counts,
    cmd_list_headers, cmd_list_newsgroups, cmd_list_overview_fmt;
/* cmd_list_file.c: RFC 3977, 7.6.1.1; RFC 6048, 2 */
command_func cmd_list_distrib_pats, cmd_list_distributions,
    cmd_list_moderators, cmd_list_motd, cmd_list_subscriptions;
/* Is there what LIST of this keyword would show? */
bool cmd_list_has(const struct session *session, const char *keyword);
/* cmd_misc.c: RFC 3977, 5 and 7; RFC 4644, 2.3 */
command_func cmd_capabilities, cmd_date, cmd_help, cmd_mode_reader,
    cmd_mode_stream, cmd_quit;
/* cmd_new.c: RFC 3977, 7.3 and 7.4 */
command_func cmd_newgroups, cmd_newnews;
/* cmd_over.c: RFC 3977, 8.3; RFC 2980, 2.8 */
command_func cmd_over, cmd_xover;
/* cmd_post.c: RFC 3977, 6.3.1 */
command_func cmd_post;
/* cmd_feed.c: RFC 3977, 6.3.2; RFC 4644 */
command_func cmd_check, cmd_ihave, cmd_takethis;
/* A TAKETHIS that is refused before it begins: its article is on its way all
   the same.  The reply is "CODE id text"; id may be NULL. */
void cmd_takethis_refused(struct session *session, unsigned code,
                          const char *id, const char *text);

/* Why no article is taken at present, in words: paused, throttled, disk full,
   no writer; NULL when articles are taken.  Points to static memory. */
const char *cmd_why_not_now(const struct session *session);

/* The group of this name, if the client may read it; 0: 411 or 480 has been
   replied. */
uint32_t cmd_find_group(struct session *session, const char *name);

#endif
