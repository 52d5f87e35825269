//! The server as its users meet it: over real sockets, with a scripted model provider behind
//! it. One module for each thing that people do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

mod agent_tools;
mod agents;
mod api_agents;
mod api_agents_bounds;
mod auth;
mod backup;
mod bad_input;
mod bad_requests;
mod branch_options;
mod branches;
mod bytes;
mod cancel;
mod capabilities;
mod chat;
mod child_runs;
mod client_tools;
mod compaction;
mod compression;
mod connections;
mod context;
mod costs;
mod costs_broken;
mod crashes;
mod csrf;
mod deletion;
mod disconnect;
mod egress;
mod embedded_form;
mod enqueue;
mod escapes;
mod evaluation;
mod evaluators;
mod fallback;
mod fences;
mod file_urls;
mod files;
mod fork;
mod graphql_over_http;
mod guard;
mod handoffs;
mod handoffs_rollback;
mod history;
mod hostile;
mod hosts;
mod http_tools;
mod idempotency;
mod in_flight;
mod input_requests;
mod interrupts;
mod interrupts_bounds;
mod interrupts_inbox;
mod interrupts_outlast;
mod interrupts_stop;
mod key_reload;
mod last_event_id;
mod layers;
mod log_bytes;
mod logs;
mod many_clients;
mod mcp;
mod mcp_hostile;
mod mcp_names;
mod mcp_processes;
mod mcp_progress;
mod mcp_sessions;
mod mcp_start;
mod mcp_tasks;
mod mcp_unreadable;
mod multipart;
mod nothing_stored;
mod odd_answers;
mod odd_schemas;
mod on_active_run;
mod operations;
mod operator;
mod outage;
mod panics;
mod persisted;
mod pooler;
mod private_files;
mod protocol;
mod providers;
mod proxies;
mod queue;
mod ready;
mod recovered;
mod recovery;
mod reload;
mod removed_keys;
mod request_coding;
mod response_bytes;
mod resume;
mod rolling;
mod schema;
mod schema_order;
mod secret_files;
mod secrets;
mod session_events;
mod sessions;
mod shipped_models;
mod shutdown;
mod slow;
mod sse;
mod startup;
mod structured;
mod stuck;
mod summaries;
mod summaries_bounds;
mod summaries_outlast;
mod tenants;
mod timeouts;
mod tool_results;
mod tools;
mod upgrading;
mod variables;
mod vendors;
mod versions;
mod websocket;
mod websocket_alive;
mod websocket_fair;
mod websocket_frames;
mod websocket_legacy;
mod websocket_limits;
mod websocket_rules;
mod words;

/// Makes two tests of each function: `sqlite::module::name` and `postgres::module::name`.
macro_rules! on_both {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        mod sqlite {
            $(mod $module {
                $(#[test]
                fn $name() {
                    crate::support::database::on_sqlite(crate::$module::$name);
                })*
            })*
        }
        mod postgres {
            $(mod $module {
                $(#[test]
                fn $name() {
                    crate::support::database::on_postgres(crate::$module::$name);
                })*
            })*
        }
    };
}

on_both! {
    file_urls {
        a_file_is_fetched_once,
    }
    summaries {
        what_falls_out_is_summarised,
        a_summary_belongs_to_its_branch,
    }
    agents {
        the_shipped_agents_are_listed_with_their_configuration,
        an_agent_is_found_by_name_and_by_id,
    }
    api_agents {
        an_agent_is_made_and_changed,
        an_agent_goes_back_and_is_deleted,
        an_agent_is_there_on_every_server,
        an_agent_belongs_to_its_tenant,
    }
    deletion {
        nothing_of_a_deleted_session_is_left,
        a_session_is_deleted_once_its_run_is_cancelled,
        a_fork_keeps_the_files_that_it_shows,
    }
    costs {
        costs_are_told_and_stay,
    }
    costs_broken {
        cache_writes_are_stored_with_their_price,
    }
    variables {
        instructions_take_what_a_client_gives,
    }
    chat {
        a_question_is_answered,
        the_second_turn_remembers_the_first,
        an_answer_streams_as_it_is_made,
        what_the_model_thinks_is_a_part_of_its_own,
        a_run_tells_what_it_used,
    }
    branches {
        an_answer_is_made_again,
        an_earlier_answer_is_made_again,
        a_message_is_said_differently,
        a_branch_is_chosen,
        a_branch_waits_for_the_active_run,
        an_answer_knows_its_siblings_while_it_is_made,
        siblings_are_bounded,
        nobody_branches_what_belongs_to_others,
    }
    agent_tools {
        tools_are_called_until_there_is_an_answer,
    }
    schema_order {
        properties_reach_the_model_as_they_were_given,
        another_order_is_another_agent_and_the_same_request,
    }
    tool_results {
        a_result_keeps_its_shape,
    }
    input_requests {
        a_question_is_answered_during_the_call,
    }
    structured {
        an_answer_has_data,
        an_invalid_answer_is_made_anew,
    }
    odd_answers {
        reasoning_alone_is_no_answer,
        text_that_was_reasoning_is_taken_back,
    }
    files {
        a_file_reaches_the_model_and_comes_back,
        a_file_may_come_without_words,
        a_key_stands_for_the_files_as_well,
    }
    interrupts {
        a_call_waits_for_its_approval,
        two_calls_are_answered_at_once,
        answers_are_given_one_after_the_other,
        a_person_edits_the_arguments,
    }
    interrupts_bounds {
        wrong_answers_are_refused_and_nothing_is_lost,
        nobody_answers_for_others,
        fifty_at_once_are_one_answer,
        what_nobody_answers_expires,
    }
    interrupts_inbox {
        an_inbox_is_kept_live,
    }
    interrupts_outlast {
        an_approval_outlasts_a_restart,
        the_next_server_goes_on,
    }
    child_runs {
        an_agent_asks_another,
        a_question_outlasts_a_restart,
        a_question_stops_with_its_run,
    }
    handoffs {
        a_conversation_moves_to_another_agent,
        the_next_server_goes_on_with_the_new_agent,
        a_hand_off_waits_for_what_is_asked_before,
    }
    handoffs_rollback {
        a_hand_off_is_rolled_back,
        a_hand_off_of_an_enqueued_run_is_rolled_back,
        the_next_server_rolls_a_hand_off_back,
    }
    interrupts_stop {
        a_waiting_run_is_cancelled,
        whoever_interrupts_closes_what_is_waited_for,
        a_waiting_run_goes_with_its_client,
    }
    client_tools {
        the_client_makes_its_own_calls,
        a_result_comes_after_a_restart,
        wrong_arguments_go_back_to_the_model,
        a_client_tool_may_have_to_be_called,
    }
    enqueue {
        what_is_enqueued_follows_in_order,
        what_waits_can_be_stopped,
        interrupting_run_precedes_queued_runs,
        a_session_has_room_for_so_many,
        many_at_once_are_answered_one_after_the_other,
    }
    fork {
        a_session_goes_on_in_two_ways,
        a_fork_needs_a_message_in_the_tree,
    }
    crashes {
        a_run_that_kills_servers_is_failed_and_all_others_are_made,
    }
    compaction {
        an_old_log_tells_how_the_run_ended,
    }
    session_events {
        a_session_is_followed_from_run_to_run,
        opening_a_session_has_no_seam,
    }
    mcp_progress {
        progress_is_followed,
    }
    resume {
        a_run_is_followed_from_every_place_after_its_end,
        a_run_is_followed_from_every_place_while_it_is_made,
        opening_a_chat_has_no_seam,
    }
    disconnect {
        a_run_goes_on_without_its_sse_client,
        a_run_goes_on_without_its_socket,
        a_run_goes_on_without_the_client_of_its_mutation,
        a_slow_answer_is_told_apart_from_a_failed_one,
        a_run_stops_with_its_client_where_it_asked_for_that,
    }
    cancel {
        a_stopped_run_keeps_what_it_has_said,
        a_run_stopped_before_its_first_token_has_no_answer,
        stopping_twice_is_stopping_once,
    }
    queue {
        a_session_has_one_active_run,
        a_run_waits_for_its_place,
        a_waiting_run_can_be_stopped,
        a_full_queue_refuses,
    }
    idempotency {
        the_same_start_gives_the_first_result,
        a_start_under_way_is_joined,
        fifty_at_once_are_one,
        a_key_stands_for_one_input,
        a_key_belongs_to_one_owner,
        a_refused_start_leaves_its_key_free,
        a_key_is_forgotten_after_its_time,
        expired_keys_are_removed,
        what_was_deleted_is_not_started_again,
        a_branch_begins_once,
        a_run_is_stopped_under_a_key,
    }
    on_active_run {
        an_interrupted_run_keeps_what_it_has_said,
        a_new_answer_that_is_rolled_back_leaves_the_old_one,
        a_run_rolled_back_leaves_the_branch,
        a_first_message_is_rolled_back,
        a_waiting_run_makes_room,
        a_start_without_a_place_stops_nothing,
        a_run_of_another_server_stays,
        a_hundred_at_once_never_run_together,
    }
    sessions {
        a_session_is_made_changed_and_deleted,
        sessions_are_listed_latest_first_in_pages,
        sessions_are_filtered,
        messages_are_paged_both_ways,
        a_session_with_an_active_run_stays,
        a_page_is_the_same_at_once_and_through_the_executor,
    }
    tenants {
        nobody_sees_what_belongs_to_others,
        nobody_changes_what_belongs_to_others,
    }
}

/// Several servers on one database.
mod postgres_fences {
    #[test]
    fn a_clock_that_is_ahead_takes_no_runs() {
        crate::support::database::on_postgres(crate::fences::a_clock_that_is_ahead_takes_no_runs);
    }

    #[test]
    fn a_server_that_was_cut_off_gives_its_runs_up() {
        crate::support::database::on_postgres(
            crate::fences::a_server_that_was_cut_off_gives_its_runs_up,
        );
    }
}

/// Behind a network that fails.
mod postgres_outage {
    macro_rules! tests {
        ($($name:ident),* $(,)?) => {$(
            #[test]
            fn $name() {
                crate::support::database::on_postgres(crate::outage::$name);
            }
        )*};
    }

    tests! {
        a_cut_connection_is_outlasted,
        a_network_without_a_word_is_outlasted,
        lost_answers_are_outlasted,
        an_outage_may_be_too_long,
        readiness_follows_the_database,
    }
}

/// A database that takes no writes.
mod postgres_ready {
    #[test]
    fn a_locked_table_is_not_ready() {
        crate::support::database::on_postgres(crate::ready::a_locked_table_is_not_ready);
    }

    #[test]
    fn a_read_only_database_is_not_ready() {
        crate::support::database::on_postgres(crate::ready::a_read_only_database_is_not_ready);
    }
}

/// Tests of PostgreSQL alone.
mod only_postgres {
    use crate::support::database::{on_empty_postgres, on_postgres};

    #[test]
    fn a_role_that_may_not_change_the_schema_serves() {
        on_postgres(crate::upgrading::a_role_that_may_not_change_the_schema_serves);
    }

    #[test]
    fn a_role_that_may_not_migrate_is_told_so() {
        on_empty_postgres(crate::upgrading::a_role_that_may_not_migrate_is_told_so);
    }
}

/// Behind a pooler in transaction mode.
mod pooled_postgres {
    use crate::support::database::on_pooled_postgres;
    use crate::support::pooler::IGNORED;

    #[test]
    fn servers_share_a_pooler() {
        on_pooled_postgres("", crate::pooler::servers_share_a_pooler);
    }

    macro_rules! tests {
        ($($module:ident::$name:ident),* $(,)?) => {$(
            #[test]
            fn $name() {
                on_pooled_postgres(IGNORED, crate::$module::$name);
            }
        )*};
    }

    tests! {
        chat::a_question_is_answered,
        chat::the_second_turn_remembers_the_first,
        chat::an_answer_streams_as_it_is_made,
        crashes::a_run_that_kills_servers_is_failed_and_all_others_are_made,
        deletion::a_session_is_deleted_once_its_run_is_cancelled,
        tenants::nobody_sees_what_belongs_to_others,
    }
}
