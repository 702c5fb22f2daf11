//! Kapso's side of the wire: the events it sends, and its Platform API, by which webhooks are registered, their deliveries
//! looked at, and customers' numbers connected.
//!
//! ```no_run
//! use hookgate::kapso::{ApiKey, Client, Names, Options, Scope, SecretKey, Settings};
//!
//! # async fn register() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(ApiKey::new(std::env::var("KAPSO_API_KEY")?)?, &Options::default())?;
//! let number = Scope::Number("123456789012345".into());
//! let settings = Settings {
//!     url: Some("https://hooks.example.com/webhooks/whatsapp".into()),
//!     events: Some(vec!["whatsapp.message.received".into()]),
//!     secret_key: Some(SecretKey::generate()?),
//!     ..Settings::default()
//! };
//! assert!(settings.problems(&number, Names::Known).is_empty());
//! let webhook = client.create_webhook(&number, &settings).await?;
//! client.test_webhook(webhook.id(), None).await?;
//! client.delete_webhook(&number, webhook.id()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Answers are kept as Kapso sent them: a field that is new or of another type than documented is no error, and is there to
//! look at.

pub mod catalogue;
mod client;
mod delivery;
mod error;
mod key;
mod retry;
mod setup_link;
pub(crate) mod sync;
mod webhook;

pub use client::{Api, Client, Options};
pub use delivery::{Cursor, Filter, Page, Period, Status};
pub use error::{ConfigError, Error, Reason};
pub use key::{ApiKey, SecretKey};
pub use setup_link::{BillingMode, COLORS, ConnectionType, Language, LinkStatus, NewSetupLink};
pub use webhook::{Buffer, HIDDEN, Kind, Names, Scope, Settings, Webhook};
