"""What devices, gateways and lines do wrong, and the tests that show what follows.

The table is for readers; the test sees to it that no entry points to nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

FAILURES: dict[str, tuple[str, ...]] = {
    "a gap in a block read (exception 2): the block is split, the hole remembered": (
        "drivers/test_polled_values.py::test_holes_are_learnt_once_and_asked_for_again_after_an_hour",
        "drivers/test_blocks.py::test_holes_cost_only_the_values_they_are_in",
        "drivers/test_transports.py::test_reads_writes_and_refusals",
        "drivers/test_holes.py::test_a_new_process_does_not_ask_again_for_what_was_refused",
    ),
    "reads limited in length: blocks within the device's limit, no value cut through": (
        "drivers/test_blocks.py::test_plans_keep_to_the_limit_and_hold_every_value_whole",
    ),
    "one connection only: one for all devices, and thrown out it comes back": (
        "drivers/test_polling.py::test_two_polls_at_once_share_the_gateway_and_one_connection",
        "drivers/test_failures.py::test_a_second_client_that_throws_hearth_out_costs_no_value",
    ),
    "needs time after connecting and between frames: the profile's pauses": (
        "drivers/test_failures.py::"
        "test_a_device_gets_its_pause_after_connecting_and_between_frames",
    ),
    "busy (6), gateway path unavailable (10), target failed (11): later again, never a zero": (
        "drivers/test_failures.py::test_a_busy_device_is_left_alone_and_never_a_zero",
        "drivers/test_commands.py::test_a_busy_device_is_given_time",
        "drivers/test_transports.py::test_a_target_that_is_not_there_is_no_value",
    ),
    "half-open connection, reboot, idle close: connected anew, one line each way": (
        "drivers/test_polling.py::test_a_half_open_connection_is_dropped_and_made_anew",
        "drivers/test_polling.py::"
        "test_a_gateway_that_reboots_costs_one_line_each_way_and_no_device_is_blamed",
        "drivers/test_polling.py::test_an_idle_connection_that_was_closed_is_no_failure",
    ),
    "a dead device on a shared gateway: its neighbours keep their cadence": (
        "drivers/test_polling.py::"
        "test_a_misbehaving_device_gives_no_value_and_leaves_its_neighbours_alone",
        "drivers/test_polling.py::test_a_dead_device_is_asked_ever_more_rarely",
    ),
    "a dead or slow gateway: the others keep their cadence": (
        "drivers/test_polling.py::test_a_dead_gateway_does_not_touch_the_other",
        "drivers/test_polling.py::"
        "test_a_gateway_that_is_late_holds_up_no_other_and_its_readings_come_later",
    ),
    "not-implemented sentinels, a sleeping inverter: a mark and no value": (
        "drivers/test_codec.py::test_not_available_is_marked_and_has_no_value",
        "drivers/test_codec.py::test_infinity_and_absurd_scale_factors_are_out_of_range",
    ),
    "a counter that drops, resets or jumps: refused by physics, a reset marked": (
        "drivers/test_quality.py::test_one_fall_and_one_jump_are_marked_and_forgotten",
        "drivers/test_quality.py::test_a_reset_is_believed_from_the_third_value_that_fits",
        "drivers/test_polled_values.py::test_a_counter_that_falls_is_doubted_then_believed",
    ),
    "a stuck value, a gateway that answers from its cache: stale": (
        "drivers/test_polled_values.py::"
        "test_a_device_that_says_the_same_for_too_long_is_stale_until_it_moves",
    ),
    "word and byte order wrong: it shows on commissioning": (
        "drivers/test_golden.py::test_swapped_words_show_in_the_golden_files",
        "drivers/test_probing.py::test_swapped_values_are_told_with_their_remedy",
    ),
    "setpoints in flash: on change only, rate-limited, counted": (
        "drivers/test_commands.py::"
        "test_price_driven_writes_to_flash_are_deferred_and_urgent_ones_are_not",
        "drivers/test_command_faults.py::test_flash_protection_and_counts_outlive_a_restart",
    ),
    "remote control that lapses: refreshed before, and left to lapse when the service dies": (
        "drivers/test_command_faults.py::"
        "test_what_lapses_is_repeated_before_the_round_that_would_come_too_late",
        "field/test_physics.py::"
        "test_passive_mode_lapses_by_itself_after_its_timeout_and_not_before",
    ),
    "read-back during a ramp: tolerance and settling time": (
        "drivers/test_command_faults.py::test_a_value_that_ramps_is_followed_until_it_has_arrived",
    ),
    "firmware that uses registers otherwise: model and firmware checked before writing": (
        "drivers/test_command_faults.py::"
        "test_model_and_firmware_are_made_sure_of_before_the_first_write",
        "drivers/test_command_faults.py::"
        "test_a_device_that_comes_back_with_other_firmware_is_written_no_more",
        "drivers/test_polled_values.py::test_another_make_in_its_place_is_not_believed",
    ),
    "compressor cycling: orders for a price no oftener than the profile allows": (
        "drivers/test_relay_board.py::"
        "test_prices_switch_a_contact_every_five_minutes_at_most_either_way",
        "drivers/test_profiles.py::"
        "test_what_switches_a_compressor_for_a_price_is_not_switched_at_will",
        "drivers/test_commands.py::"
        "test_price_driven_writes_to_flash_are_deferred_and_urgent_ones_are_not",
        "controllers/test_dispatch.py::"
        "test_as_asked_the_setpoint_stands_still_whether_the_pump_runs_or_rests",
    ),
    "short, foreign, misnumbered, cut-off replies: no value": (
        "drivers/test_polling.py::"
        "test_a_misbehaving_device_gives_no_value_and_leaves_its_neighbours_alone",
        "drivers/test_fuzzed_replies.py::test_no_lie_becomes_a_good_value",
    ),
    "late replies: never taken for the next one": (
        "drivers/test_polling.py::test_a_late_reply_is_not_taken_for_the_next_one",
        "drivers/test_failures.py::"
        "test_a_late_reply_on_a_line_is_drained_before_the_next_request_of_the_same_length",
        "drivers/test_failures.py::"
        "test_a_reply_owed_to_an_old_connection_does_not_fit_a_request_on_the_new_one",
    ),
    "noise and babble on a line: asked again once, then a fault": (
        "drivers/test_failures.py::test_noise_on_a_line_is_asked_again_once",
        "drivers/test_failures.py::test_a_line_that_babbles_ends_in_a_fault_and_not_in_waiting",
    ),
    "certificates that do not fit: the gateway's fault in one line, no device's": (
        "drivers/test_transports.py::test_tls_trusts_nobody_blindly_and_blames_no_device",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_has_its_tests(failure: str) -> None:
    for entry in FAILURES[failure]:
        file, name = entry.split("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.M), f"{entry} is not there"
