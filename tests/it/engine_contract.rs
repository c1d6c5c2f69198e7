//! The engine contract: laws that the simulated engine and a real Docker both keep.
//!
//! Each law is one generic function. The simulated engine runs it always, with a paused clock; Docker when there is
//! one. What a law needs of the host is in [`ground::Ground`].

mod containers;
pub(crate) mod fields;
mod ground;
pub(crate) mod machine;
mod networks;
mod processes;
mod volumes_images;

/// Makes of each law one test for each engine.
macro_rules! laws {
    ($($file:ident::$law:ident),* $(,)?) => {
        mod simulated {
            use super::*;
            $(#[tokio::test(start_paused = true)]
            async fn $law() {
                $file::$law(&ground::simulated()).await;
            })*
        }
        mod docker {
            use super::*;
            $(#[tokio::test]
            async fn $law() {
                if let Some((ground, _cleanup)) = ground::docker().await {
                    $file::$law(&ground).await;
                }
            })*
        }
    };
}

laws! {
    fields::every_field_is_read_back_as_it_was_asked_for,
    fields::what_is_not_declared_comes_from_image_and_daemon,
    fields::trap_70_a_missing_source_is_made_only_where_it_may_be,
    fields::trap_29_an_option_of_the_client_is_refused_by_the_engine,
    fields::trap_74_parts_of_volumes_and_images_are_read_back,
    machine::what_is_used_of_the_host_is_read_back,
    machine::trap_34_a_namespace_of_another_container_is_told_by_its_id,
    machine::every_limit_that_docker_can_change_is_changed_in_place,
    containers::a_name_is_taken_once,
    containers::a_container_needs_its_image,
    containers::a_container_without_the_labels_is_unexpected,
    containers::starting_and_stopping_twice_is_no_error,
    containers::who_ignores_the_request_to_end_is_killed_after_the_grace,
    containers::what_is_missing_may_be_removed,
    containers::a_running_container_is_not_removed,
    containers::a_container_gets_another_name,
    containers::limits_and_restart_policy_change_in_place,
    containers::a_port_in_use_refuses_the_start,
    containers::a_port_is_held_while_its_container_runs,
    containers::ports_are_published_as_long_as_a_network_is_joined,
    containers::a_container_tells_which_ports_are_bound,
    containers::an_ended_container_tells_its_status,
    containers::a_restart_policy_restarts,
    containers::a_health_check_is_told,
    containers::a_health_check_that_fails_tells_its_output,
    networks::a_network_is_read_back,
    networks::a_network_name_is_taken_once,
    networks::overlapping_addresses_are_refused,
    networks::a_network_in_use_is_not_removed,
    networks::a_container_joins_and_leaves_networks,
    networks::trap_55_an_attachment_is_whole_whether_created_or_joined_later,
    networks::trap_51_a_hardware_address_is_read_back,
    networks::trap_58_a_gateway_priority_is_read_back,
    networks::a_failed_creation_leaves_nothing,
    networks::a_network_that_is_gone_refuses_the_start,
    volumes_images::a_volume_is_read_back,
    volumes_images::a_volume_that_is_made_otherwise_is_a_conflict,
    volumes_images::an_image_is_read_back,
    volumes_images::an_image_that_is_nowhere_is_not_pulled,
    volumes_images::a_name_of_an_image_is_removed,
    volumes_images::an_image_gets_another_name,
    processes::a_command_in_a_container_tells_its_end,
    processes::a_command_ends_in_time,
    processes::a_command_needs_a_running_container,
    processes::the_last_lines_of_a_log_are_read,
    processes::a_log_is_followed_from_the_start_of_its_run,
    processes::events_arrive,
}
