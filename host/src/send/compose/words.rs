//! What people say, and who says it: invented, in several scripts, with every character that ever broke a signature.

/// A first name, a whole name, and a user name.
pub(super) const PEOPLE: [(&str, &str, &str); 8] = [
    ("Ana", "Ana López", "@ana.lopez"),
    ("João", "João Gonçalves", "@joaog"),
    ("Zoë", "Zoë O'Brien", "@zoe_obrien"),
    ("محمد", "محمد علي", "@m.ali"),
    ("陈", "陈 伟", "@chenwei"),
    ("Łukasz", "Łukasz \"Luke\" Żak", "@luke"),
    ("Priya", "Priya & Sons <Store>", "@priyasons"),
    ("Sheena", "Sheena 🌵", "@sheena"),
];

/// Text messages.
pub(super) const TEXTS: [&str; 12] = [
    "Hola",
    "¿Tienen stock? Busco 2 & medio <urgente>",
    "Olá 👋🏽 família 👨‍👩‍👧‍👦 — tudo bem?",
    "مرحبا، أين طلبي؟",
    "订单什么时候到？",
    "Line one\nline two\twith a tab, a \"quote\" and a \\ backslash",
    "https://example.com/a?b=1&c=2#d",
    "e\u{301} is not é, and 𝔘nicode is wide",
    "STOP",
    "{\"not\": \"json\", \"batch\": true}",
    "a\u{2028}b\u{2029}c",
    "Thanks! I will be there at 9:30, gate 4 / hall B.",
];

/// What a picture, video or document says under it.
pub(super) const CAPTIONS: [&str; 4] = ["Mi recibo 🧾", "front & back", "Look!", "<b>bold</b>"];

/// What reactions are made of; the empty one takes a reaction back.
pub(super) const EMOJI: [&str; 5] = ["👍", "❤️", "😂", "🙏🏾", ""];

/// Answers to buttons and lists: id, title, description.
pub(super) const CHOICES: [(&str, &str, &str); 4] = [
    ("priority_high", "High", "Urgent"),
    ("yes", "Sí, continuar", "Confirma el pedido"),
    ("slot-0930", "9:30 & later", "Tomorrow"),
    ("unsubscribe", "Unsubscribe", "No more news"),
];

/// Places: latitude, longitude, name, address.
pub(super) const PLACES: [(f64, f64, &str, &str); 3] = [
    (37.7749, -122.4194, "San Francisco", "San Francisco, CA, USA"),
    (-34.6037, -58.3816, "Café Tortoni", "Av. de Mayo 825, Buenos Aires"),
    (35.6586, 139.7454, "東京タワー", "東京都港区芝公園4丁目"),
];

/// Templates.
pub(super) const TEMPLATES: [&str; 3] = ["order_confirmation", "appointment_reminder", "hello_world"];

/// Custom events of a project.
pub(super) const CUSTOM_EVENTS: [&str; 3] = ["lead.qualified", "order.paid", "crédito.aprobado"];
