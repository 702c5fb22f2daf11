//! v2 events of the project: connections, enforcement, workflows, custom events, agents.

use super::words;
use super::world::{ACCOUNT, World, phone_number_id, utc};
use crate::send::dice::Dice;
use crate::send::json::{Json, object};

/// The project of all that is composed.
pub(super) const PROJECT: &str = "990e8400-e29b-41d4-a716-446655440004";

/// The body of a project event, by its name.
pub(super) fn event(world: &mut World, name: &'static str, dice: &mut Dice) -> Json {
    match name.rsplit_once('.') {
        Some(("whatsapp.phone_number", what @ ("created" | "deleted"))) => connected(world, what, dice),
        Some(("whatsapp.phone_number", what)) => connection(world, name, what, dice),
        Some(("whatsapp.account", what)) => account(world, name, what, dice),
        Some(("workflow.execution", what)) => workflow(world, name, what, dice),
        Some(("kapso_agent.run", what)) => agent_run(world, name, what, dice),
        _ => custom(world, name, dice),
    }
}

/// These two do not say their name, and are known by the customer alone.
fn connected(world: &mut World, what: &str, dice: &mut Dice) -> Json {
    let item = world.item();
    let number = world.connected_number(dice);
    // A number that is not a customer's has none; then the project must tell it from others.
    if what == "created" && dice.is(1, 5) {
        return object! {"phone_number_id": number, "project": object! {"id": item}};
    }
    object! {"phone_number_id": number, "project": object! {"id": PROJECT}, "customer": object! {"id": item}}
}

fn connection(world: &mut World, name: &'static str, what: &'static str, dice: &mut Dice) -> Json {
    let item = world.item();
    let customer = object! {"id": dice.uuid(), "external_id": format!("acme-{}", dice.digits(4))};
    let meta = match what {
        "offboarded" => "ACCOUNT_OFFBOARDED",
        "disconnected" => "PARTNER_REMOVED",
        _ => "ACCOUNT_RECONNECTED",
    };
    let reason = dice.pick(&[Some("partner_removed"), Some("app_uninstalled"), None]);
    let disconnection = object! {"reason": reason, "initiated_by": dice.is(1, 2).then_some("business")};
    object! {
        "id": format!("wpe_{item}"),
        "event": name,
        "occurred_at": utc(world.now()),
        "phone_number_id": world.connected_number(dice),
        "project": object! {"id": PROJECT},
        "customer": customer,
        "connection_type": dice.pick(&["dedicated", "coexistence"]),
    }
    .with_some("disconnection", (what == "disconnected").then_some(disconnection))
    .with("source", object! {"provider": "meta", "event": meta, "business_account_id": ACCOUNT})
}

fn account(world: &mut World, name: &'static str, what: &'static str, dice: &mut Dice) -> Json {
    let item = world.item();
    let now = world.now();
    let number = world.any_number(dice);
    let number = object! {"id": phone_number_id(number), "display_phone_number": "+1 555 010 1234"};
    let (meta, member, detail) = match what {
        "restricted" => {
            let restrictions = vec![
                object! {"type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expires_at": utc(now + 604_800)},
                object! {"type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"},
            ];
            ("ACCOUNT_RESTRICTION", "restrictions", restrictions.into())
        }
        "violation" => {
            let violation = object! {"type": "SCAM"};
            ("ACCOUNT_VIOLATION", "violation", violation.with_some("remediation", dice.is(1, 2).then_some("appeal")))
        }
        "disabled" => ("DISABLED_UPDATE", "ban", object! {"state": "DISABLE", "date_label": "September 14, 2026"}),
        _ => ("DISABLED_UPDATE", "ban", object! {"state": "REINSTATE", "date_label": "September 14, 2026"}),
    };
    object! {
        "id": format!("wae_{item}"),
        "event": name,
        "occurred_at": utc(now),
        "business_account_id": ACCOUNT,
        "project": object! {"id": PROJECT},
        "phone_numbers": vec![number],
    }
    .with(member, detail)
    .with("source", object! {"provider": "meta", "event": meta})
}

fn workflow(world: &mut World, name: &'static str, what: &'static str, dice: &mut Dice) -> Json {
    let item = world.item();
    let reason = dice.is(2, 3).then_some("User requested human assistance & <help>");
    let handoff = object! {}.with_some("reason", reason).with("source", dice.pick(&["agent_tool", "action_step"]));
    let body = object! {
        "event": name,
        "occurred_at": utc(world.now()),
        "project_id": PROJECT,
        "workflow_id": dice.uuid(),
        "workflow_execution_id": item,
        "status": what,
        "tracking_id": format!("track-{}", dice.hex(8)),
        "channel": "whatsapp",
        "whatsapp_conversation_id": world.any_conversation(dice).id,
    };
    match what {
        "handoff" => body.with("handoff", handoff),
        _ => body.with("error", object! {"message": "Workflow execution timed out"}),
    }
}

fn custom(world: &mut World, name: &'static str, dice: &mut Dice) -> Json {
    let item = world.item();
    object! {
        "id": format!("pe_{item}"),
        "event": name,
        "name": dice.pick(&words::CUSTOM_EVENTS),
        "occurred_at": utc(world.now()),
        "project_id": PROJECT,
    }
    .with_some("conversation_id", dice.is(1, 2).then(|| world.any_conversation(dice).id))
    .with(
        "properties",
        object! {"score": u64::from(dice.below(100)), "tags": vec!["vip", "ñ"], "note": dice.pick(&words::TEXTS)},
    )
}

fn agent_run(world: &mut World, name: &'static str, what: &'static str, dice: &mut Dice) -> Json {
    let item = world.item();
    let now = world.now();
    let run = format!("run_{}", dice.hex(10));
    let status = if what == "approval_required" { "waiting_for_approval" } else { what };
    let data = object! {
        "run_id": run.clone(),
        "session_id": format!("ses_{}", dice.hex(10)),
        "status": status,
        "agent": object! {"id": format!("agent_{}", dice.hex(6)), "name": "Support AI"},
    };
    let data = match what {
        "completed" => {
            data.with("result", object! {"type": "text", "data": object! {"text": dice.pick(&words::TEXTS)}})
        }
        "approval_required" => {
            let id = format!("ap_{}", dice.hex(10));
            data.with("pending_approval", object! {"id": id, "tool": "send_message", "parameters": object! {}})
        }
        "failed" => data.with("error", object! {"code": "run_failed", "message": "model error"}),
        _ => data.with("error", object! {"code": "run_cancelled", "message": "cancelled by the caller"}),
    };
    let data = data
        .with("metadata", object! {})
        .with("created_at", utc(now))
        .with("started_at", utc(now))
        .with_some("finished_at", (what != "approval_required").then(|| utc(now)))
        .with("status_url", format!("/platform/v1/kapso-agent/runs/{run}"));
    object! {"id": format!("evt_{item}"), "event": name, "created_at": utc(now), "data": data}
}

/// The webhooks of the older agents product, one for each agent.
pub(super) fn legacy_agent(world: &mut World, name: &'static str, dice: &mut Dice) -> Json {
    let item = world.item();
    let what = name.rsplit(['.', '_']).next().unwrap_or(name);
    object! {
        "id": format!("exec_{item}"),
        "type": name,
        "timestamp": utc(world.now()),
        "agent": object! {"id": format!("agent_{}", dice.hex(6)), "name": "Support AI"},
        "customer": object! {"id": dice.uuid(), "external_customer_id": format!("acme-{}", dice.digits(4))},
        "conversation": object! {"id": world.any_conversation(dice).id, "channel": "whatsapp"},
        "status": what,
        "results": object! {"final_message": dice.pick(&words::TEXTS), "variables": object! {"order": dice.hex(8)}},
    }
}
