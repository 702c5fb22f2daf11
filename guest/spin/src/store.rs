//! Spin's key-value store, seen through `wasi:keyvalue`.

use crate::bindings::wasi::keyvalue::atomics::increment;
use crate::bindings::wasi::keyvalue::batch::{delete_many, set_many};
use crate::bindings::wasi::keyvalue::store::{Bucket, Error, open};
use crate::claims::{Keys, StoreError};

/// The store's label, listed in spin.toml under `key_value_stores`.
const LABEL: &str = "default";

/// An open store.
pub(crate) struct Store(Bucket);

impl Store {
    pub(crate) fn open() -> Result<Self, StoreError> {
        open(LABEL).map(Store).map_err(StoreError::from)
    }
}

impl Keys for Store {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key)?)
    }

    fn exists(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.0.exists(key)?)
    }

    fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        Ok(increment(&self.0, key, delta)?)
    }

    fn set(&self, values: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        Ok(set_many(&self.0, values)?)
    }

    fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        Ok(delete_many(&self.0, keys)?)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        StoreError(match error {
            Error::NoSuchStore => "there is no key-value store \"default\"",
            Error::AccessDenied => "spin.toml does not list \"default\" among the component's key_value_stores",
            // A store's own words may hold its address and password.
            Error::Other(_) => "the key-value store failed; Spin's own log says why",
        })
    }
}
