//! The host's functions as safe Rust: nothing here panics, whatever the host answers.
#![allow(unsafe_code)] // Every call passes pointers to live values of the sizes it names, and reads only what it passed.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ptr::null_mut;

use crate::global::global;
use crate::pairs::Pairs;
use crate::sys;

/// A call that the host did not answer with "ok".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    call: &'static str,
    status: u32,
}

impl Fault {
    const NOT_FOUND: u32 = 1;
    const CAS_MISMATCH: u32 = 8;
    /// Ours, where the host said "ok" and what it gave cannot be that.
    const NONSENSE: u32 = u32::MAX;

    /// Something is not as the host said.
    pub(crate) fn nonsense(call: &'static str) -> Self {
        Self { call, status: Self::NONSENSE }
    }

    /// Other workers changed a value first, every time.
    pub(crate) fn outrun() -> Self {
        Self { call: "set_shared_data", status: Self::CAS_MISMATCH }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Self::NONSENSE => write!(f, "the host's {} makes no sense", self.call),
            status => write!(f, "the host's {} failed with status {status}", self.call),
        }
    }
}

pub(crate) type Result<T> = core::result::Result<T, Fault>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

#[derive(Clone, Copy)]
pub(crate) enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    CallHeaders = 6,
}

#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    PluginConfiguration = 7,
}

#[derive(Clone, Copy)]
pub(crate) enum Side {
    Request = 0,
    Response = 1,
}

#[derive(Clone, Copy)]
pub(crate) enum Metric {
    Counter = 0,
    Histogram = 2,
}

global! {
    /// The one block that the host asked for and the filter has not yet taken. The host asks for one at the most in each
    /// call, so a block that was never taken is freed by the next.
    static BLOCK: Vec<u8> = Vec::new();
}

/// Memory for the host to put an answer into; null when there is none.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    let mut block = Vec::new();
    if block.try_reserve_exact(size).is_err() {
        return null_mut();
    }
    block.resize(size, 0);
    let start = block.as_mut_ptr();
    match BLOCK.with(|slot| slot.try_borrow_mut().map(|mut slot| *slot = block)) {
        Ok(()) => start,
        Err(_) => null_mut(),
    }
}

/// The block that the host says it has filled, if it is the one that it asked for.
fn take(call: &'static str, data: *mut u8, size: usize) -> Result<Vec<u8>> {
    if size == 0 {
        return Ok(Vec::new());
    }
    let mut block =
        BLOCK.with(|slot| slot.try_borrow_mut().map(|mut slot| core::mem::take(&mut *slot))).unwrap_or_default();
    if block.as_ptr().cast_mut() != data || block.len() < size {
        return Err(Fault::nonsense(call));
    }
    block.truncate(size);
    Ok(block)
}

fn check(call: &'static str, status: u32) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Fault { call, status }) }
}

fn bytes(call: &'static str, ask: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    check(call, ask(&mut data, &mut size))?;
    take(call, data, size)
}

pub(crate) fn log(level: Level, message: &str) {
    // A line that cannot be logged cannot be reported either.
    let _ = unsafe { sys::proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> Result<u64> {
    let mut time = 0;
    check("get_current_time_nanoseconds", unsafe { sys::proxy_get_current_time_nanoseconds(&mut time) })?;
    Ok(time)
}

pub(crate) fn tick_every(milliseconds: u32) -> Result<()> {
    check("set_tick_period_milliseconds", unsafe { sys::proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Makes the calls that follow, until the callback returns, be about this stream.
pub(crate) fn act_for(context: u32) -> Result<()> {
    check("set_effective_context", unsafe { sys::proxy_set_effective_context(context) })
}

pub(crate) fn buffer(buffer: Buffer, start: usize, max: usize) -> Result<Vec<u8>> {
    bytes("get_buffer_bytes", |data, size| unsafe {
        sys::proxy_get_buffer_bytes(buffer as u32, start, max, data, size)
    })
}

/// Puts `value` in the place of the whole buffer.
pub(crate) fn replace_buffer(buffer: Buffer, value: &[u8]) -> Result<()> {
    // Envoy takes a length that is at least the buffer's for "all of it"; usize::MAX would overflow in other hosts.
    let all = i32::MAX as usize;
    check("set_buffer_bytes", unsafe {
        sys::proxy_set_buffer_bytes(buffer as u32, 0, all, value.as_ptr(), value.len())
    })
}

pub(crate) fn headers(map: Map) -> Result<Pairs> {
    bytes("get_header_map_pairs", |data, size| unsafe { sys::proxy_get_header_map_pairs(map as u32, data, size) })
        .map(Pairs::from)
}

pub(crate) fn replace_headers(map: Map, headers: &Pairs) -> Result<()> {
    let data = headers.as_bytes();
    check("set_header_map_pairs", unsafe { sys::proxy_set_header_map_pairs(map as u32, data.as_ptr(), data.len()) })
}

pub(crate) fn header(map: Map, name: &str) -> Result<Vec<u8>> {
    bytes("get_header_map_value", |data, size| unsafe {
        sys::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

pub(crate) fn set_header(map: Map, name: &str, value: &[u8]) -> Result<()> {
    check("replace_header_map_value", unsafe {
        sys::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(crate) fn remove_header(map: Map, name: &str) -> Result<()> {
    check("remove_header_map_value", unsafe {
        sys::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len())
    })
}

/// A property; the parts of its path are separated by NUL.
pub(crate) fn property(path: &str) -> Result<Vec<u8>> {
    bytes("get_property", |data, size| unsafe { sys::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub(crate) fn set_property(path: &str, value: &str) -> Result<()> {
    check("set_property", unsafe { sys::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// A value that all workers share, and the number that changes with it.
pub(crate) fn shared(key: &[u8]) -> Result<Option<(Vec<u8>, u32)>> {
    let mut cas = 0;
    match bytes("get_shared_data", |data, size| unsafe {
        sys::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut cas)
    }) {
        Ok(value) => Ok(Some((value, cas))),
        Err(Fault { status: Fault::NOT_FOUND, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Sets a shared value if nobody set it since `cas` was read; says whether that was so. Anybody's value is replaced where
/// `cas` is 0, and an absent one is set whatever `cas` is.
pub(crate) fn set_shared(key: &[u8], value: &[u8], cas: u32) -> Result<bool> {
    match check("set_shared_data", unsafe {
        sys::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    }) {
        Ok(()) => Ok(true),
        Err(Fault { status: Fault::CAS_MISMATCH, .. }) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Starts a call to a cluster; the token comes back with its answer.
pub(crate) fn call(cluster: &str, headers: &Pairs, body: &[u8], timeout_ms: u32) -> Result<u32> {
    let (headers, trailers) = (headers.as_bytes(), Pairs::default());
    let trailers = trailers.as_bytes();
    let mut token = 0;
    check("http_call", unsafe {
        sys::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &mut token,
        )
    })?;
    Ok(token)
}

/// Answers the sender. `details` is for Envoy's access log alone.
pub(crate) fn respond(status: u16, details: &str, headers: &Pairs, body: &[u8]) -> Result<()> {
    let headers = headers.as_bytes();
    check("send_local_response", unsafe {
        sys::proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    })
}

pub(crate) fn resume(side: Side) -> Result<()> {
    check("continue_stream", unsafe { sys::proxy_continue_stream(side as u32) })
}

pub(crate) fn close(side: Side) -> Result<()> {
    check("close_stream", unsafe { sys::proxy_close_stream(side as u32) })
}

pub(crate) fn define_metric(kind: Metric, name: &str) -> Result<u32> {
    let mut metric = 0;
    check("define_metric", unsafe { sys::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut metric) })?;
    Ok(metric)
}

pub(crate) fn count(counter: u32) -> Result<()> {
    check("increment_metric", unsafe { sys::proxy_increment_metric(counter, 1) })
}

pub(crate) fn record(histogram: u32, value: u64) -> Result<()> {
    check("record_metric", unsafe { sys::proxy_record_metric(histogram, value) })
}

/// Has Envoy choose the route again, by the headers as they are now.
pub(crate) fn clear_route_cache() -> Result<()> {
    let name = "clear_route_cache";
    bytes("call_foreign_function", |data, size| unsafe {
        sys::proxy_call_foreign_function(name.as_ptr(), name.len(), name.as_ptr(), 0, data, size)
    })
    .map(drop)
}

/// The VM's environment as WASI has it: `NAME=value`, each with a NUL behind it.
pub(crate) fn environment() -> Result<Vec<u8>> {
    /// No environment that anybody means is larger than this; a host that says so is wrong.
    const MAX: usize = 1 << 24;
    let (mut count, mut size) = (0, 0);
    check("environ_sizes_get", unsafe { sys::environ_sizes_get(&mut count, &mut size) })?;
    if count > MAX || size > MAX {
        return Err(Fault::nonsense("environ_sizes_get"));
    }
    let (mut pointers, mut buffer) = (vec![null_mut(); count], vec![0; size]);
    check("environ_get", unsafe { sys::environ_get(pointers.as_mut_ptr(), buffer.as_mut_ptr()) })?;
    Ok(buffer)
}
