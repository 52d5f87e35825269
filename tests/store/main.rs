//! What every store has to do, whichever database is behind it: each test runs on SQLite and
//! on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod branches;
mod child_runs;
mod deletion;
mod files;
mod follow;
mod groups;
mod handoffs;
mod interrupts;
mod keys;
mod leases;
mod log;
mod memories;
mod messages;
mod nodes;
mod runs;
mod schema;
mod sessions;
mod space;
mod summaries;
mod takeovers;

/// Makes two tests of each function: `sqlite::name` and `postgres::name`.
macro_rules! on_both {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        mod sqlite {
            $($(
                #[test]
                fn $name() {
                    crate::support::database::on_sqlite(crate::$module::$name);
                }
            )*)*
        }
        mod postgres {
            $($(
                #[test]
                fn $name() {
                    crate::support::database::on_postgres(crate::$module::$name);
                }
            )*)*
        }
    };
}

on_both! {
    summaries {
        a_summary_comes_with_its_event,
        a_summary_holds_for_the_branches_through_its_message,
        a_fork_has_the_summary_of_what_it_copies,
        a_session_keeps_a_few_summaries,
    }
    agents {
        file_agents_follow_the_files,
        two_nodes_sync_the_same_files_at_once,
        agents_are_listed_by_name,
        every_tenant_sees_the_file_agents,
    }
    sessions {
        a_session_is_made_changed_and_deleted,
        sessions_are_listed_latest_first,
        sessions_of_the_same_instant_are_listed_once,
        sessions_are_filtered,
        a_session_belongs_to_one_owner,
        what_is_written_is_read,
    }
    runs {
        a_run_starts_in_a_new_session,
        a_run_starts_in_a_session_that_is_there,
        a_session_has_one_active_run,
        of_many_starts_in_a_session_one_succeeds,
        starts_in_many_sessions_all_succeed,
        a_run_begins_and_ends,
        a_run_fails_with_its_reason,
        only_its_node_ends_a_run_and_only_once,
        an_answer_to_an_older_head_does_not_become_the_head,
        a_session_with_an_active_run_stays,
        a_deleted_session_hides_what_was_in_it,
        a_run_belongs_to_one_owner,
    }
    messages {
        a_branch_is_read_in_ranges,
        large_stretches_are_not_read,
        branches_of_a_tree_are_told_apart,
        messages_belong_to_one_owner,
    }
    handoffs {
        a_hand_off_changes_run_and_session,
        a_refused_hand_off_changes_nothing,
        a_run_may_end_with_its_hand_off,
        a_withdrawn_run_gives_its_session_back,
    }
    child_runs {
        children_are_found_and_listed_nowhere,
        children_are_deleted_with_their_parents_session,
    }
    files {
        a_file_is_what_it_was,
        a_file_belongs_to_one_owner,
        no_file_is_saved_without_the_others,
    }
    interrupts {
        a_run_waits_until_its_last_answer,
        of_many_answers_one_is_taken,
        nobody_takes_up_what_waits,
        the_end_of_a_run_closes_what_it_waits_for,
        a_refused_suspension_leaves_nothing,
        an_inbox_belongs_to_one_owner,
    }
    memories {
        memories_are_read_latest_first,
        what_is_said_again_is_there_once,
        the_oldest_memories_are_forgotten,
        a_memory_belongs_to_one_owner,
    }
    branches {
        a_message_is_answered_again,
        a_message_is_said_differently,
        starts_at_one_message_wait_for_each_other,
        kin_is_told_apart,
        the_latest_kin_is_read,
        a_branch_is_chosen,
        a_branch_is_not_chosen_while_a_run_is_active,
        kin_and_branches_belong_to_one_owner,
    }
    groups {
        a_bad_member_is_refused_alone,
        events_after_a_refused_event_of_the_same_group_are_refused,
        runs_are_told_apart_within_a_group,
        groups_of_events_have_any_size,
        closing_commits_what_is_queued,
        a_closed_store_refuses,
        a_full_queue_refuses_after_its_time,
    }
    keys {
        a_key_is_written_with_its_run,
        of_many_starts_with_a_key_one_succeeds,
        a_refused_start_leaves_no_key,
        an_expired_key_starts_another_run,
        expired_keys_are_removed_a_few_at_a_time,
        a_key_belongs_to_one_owner,
        a_withdrawn_run_leaves_the_branch,
    }
    follow {
        whoever_attaches_sees_every_event_once,
    }
    log {
        a_log_reads_as_it_was_written,
        a_limit_ends_with_a_whole_group,
        a_broken_log_takes_nothing_but_its_end,
        a_log_has_no_hole,
        a_mended_end_may_be_tried_again,
        a_log_belongs_to_one_owner,
    }
    leases {
        a_renewed_lease_is_not_taken,
        expired_runs_are_taken_once,
        unclean_ends_are_counted_while_a_run_is_made,
    }
    nodes {
        two_nodes_work_in_the_same_sessions,
    }
    deletion {
        a_deleted_session_is_removed_to_its_tombstone,
        a_child_that_is_active_ends_with_its_session,
        what_a_fork_shows_stays,
    }
    schema {
        a_newer_database_is_served_if_it_says_so,
        a_release_is_recorded_once,
        a_changed_migration_is_refused,
        an_unfinished_migration_is_refused,
        a_database_from_before_the_baseline_is_adopted,
        a_part_of_the_schema_before_the_baseline_is_refused,
        what_is_to_be_migrated_is_refused_where_it_may_not,
    }
    takeovers {
        a_log_goes_on_whoever_has_the_run,
        an_earlier_owner_writes_nothing,
    }
}

/// What only SQLite does.
mod only_sqlite {
    #[test]
    fn commits_reach_the_database_file() {
        crate::support::database::on_sqlite(crate::groups::commits_reach_the_database_file);
    }

    #[test]
    fn who_comes_alone_sorts_what_is_left() {
        crate::support::database::on_sqlite(crate::takeovers::who_comes_alone_sorts_what_is_left);
    }

    #[test]
    fn what_is_deleted_goes_back_to_the_file_system() {
        crate::support::database::on_sqlite(
            crate::space::what_is_deleted_goes_back_to_the_file_system,
        );
    }

    #[test]
    fn a_database_of_an_earlier_release_is_adopted() {
        crate::support::database::on_sqlite(
            crate::space::a_database_of_an_earlier_release_is_adopted,
        );
    }

    #[test]
    fn the_log_stays_short() {
        crate::support::database::on_sqlite(crate::space::the_log_stays_short);
    }

    #[test]
    fn a_deletion_leaves_no_trace() {
        crate::support::database::on_sqlite(crate::space::a_deletion_leaves_no_trace);
    }

    #[test]
    fn what_is_sorted_is_removed() {
        crate::support::database::on_sqlite(crate::takeovers::what_is_sorted_is_removed);
    }
}

/// What only PostgreSQL can do.
mod only_postgres {
    use crate::support::database::{on_empty_postgres, on_postgres};

    #[test]
    fn nodes_make_the_tables_in_turn() {
        on_empty_postgres(crate::nodes::nodes_make_the_tables_in_turn);
    }

    #[test]
    fn lost_connections_are_replaced() {
        on_postgres(crate::nodes::lost_connections_are_replaced);
    }

    #[test]
    fn a_statement_that_takes_too_long_is_given_up() {
        on_postgres(crate::nodes::a_statement_that_takes_too_long_is_given_up);
    }

    #[test]
    fn a_server_that_is_away_is_unavailable() {
        on_postgres(crate::nodes::a_server_that_is_away_is_unavailable);
    }
}
