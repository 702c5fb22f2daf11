//! The host functions: what the filter can ask for.

use wasmtime::{Caller, Extern, Linker, Memory};

use super::world::{Flaw, Header, Local, Stream, World};

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const INVALID_MEMORY_ACCESS: u32 = 6;
const CAS_MISMATCH: u32 = 8;

type Host<'a> = Caller<'a, World>;

/// A run of the filter's memory.
#[derive(Clone, Copy)]
struct Run(u32, u32);

/// Where the filter wants a pointer and a size.
#[derive(Clone, Copy)]
struct Place(u32, u32);

/// A status that is not "ok".
type Answer<T> = Result<T, u32>;

/// Defines every host function that the filter imports.
pub(super) fn define(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap("env", "proxy_log", |mut host: Host<'_>, level: u32, at: u32, size: u32| {
        answer(&mut host, "log", |host| {
            let line = String::from_utf8_lossy(&read(host, Run(at, size))?).into_owned();
            host.data_mut().logs.push((level, line));
            Ok(())
        })
    })?;
    linker.func_wrap("env", "proxy_get_current_time_nanoseconds", |mut host: Host<'_>, at: u32| {
        answer(&mut host, "get_current_time_nanoseconds", |host| {
            let time = host.data().time.to_le_bytes();
            write(host, at, &time)
        })
    })?;
    linker.func_wrap("env", "proxy_set_tick_period_milliseconds", |mut host: Host<'_>, period: u32| {
        answer(&mut host, "set_tick_period_milliseconds", |host| {
            host.data_mut().tick_period = period;
            Ok(())
        })
    })?;
    linker.func_wrap("env", "proxy_set_effective_context", |mut host: Host<'_>, context: u32| {
        answer(&mut host, "set_effective_context", |host| {
            if host.data_mut().act_for(context) { Ok(()) } else { Err(BAD_ARGUMENT) }
        })
    })?;
    buffers(linker)?;
    maps(linker)?;
    properties_and_shared_data(linker)?;
    streams(linker)?;
    metrics(linker)?;
    environment(linker)
}

fn buffers(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut host: Host<'_>, buffer: u32, start: u32, max: u32, at: u32, size: u32| {
            give(&mut host, "get_buffer_bytes", Place(at, size), |host| {
                let bytes = self::buffer(host.data_mut(), buffer)?;
                if start.checked_add(max).is_none() {
                    return Err(BAD_ARGUMENT);
                }
                let end = (start + max).min(length(&bytes));
                host.data_mut().fetched += end.saturating_sub(start) as usize;
                Ok(bytes.get(start as usize..end as usize).unwrap_or_default().to_vec())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |mut host: Host<'_>, buffer: u32, start: u32, size: u32, at: u32, value: u32| {
            answer(&mut host, "set_buffer_bytes", |host| {
                let value = read(host, Run(at, value))?;
                let stream = host.data_mut().stream().ok_or(NOT_FOUND)?;
                let body = match buffer {
                    0 => stream.request_body.as_mut(),
                    1 => stream.response_body.as_mut(),
                    _ => return Err(BAD_ARGUMENT),
                };
                let body = body.ok_or(NOT_FOUND)?;
                // As Envoy: before it, instead of all of it, or behind it.
                match (start, size) {
                    (0, 0) => *body = [value, std::mem::take(body)].concat(),
                    (0, size) if size >= length(body) => *body = value,
                    (start, _) if start >= length(body) => body.extend(value),
                    _ => return Err(BAD_ARGUMENT),
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn buffer(world: &mut World, buffer: u32) -> Answer<Vec<u8>> {
    if buffer == 7 {
        return Ok(world.configuration.clone());
    }
    let stream = world.stream().ok_or(NOT_FOUND)?;
    let body = match buffer {
        0 => &stream.request_body,
        1 => &stream.response_body,
        _ => return Err(BAD_ARGUMENT),
    };
    body.clone().ok_or(NOT_FOUND)
}

fn maps(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap("env", "proxy_get_header_map_pairs", |mut host: Host<'_>, map: u32, at: u32, size: u32| {
        // Envoy has an empty map where there is none.
        give(&mut host, "get_header_map_pairs", Place(at, size), |host| {
            let fields = self::map(host.data_mut(), map).cloned().unwrap_or_default();
            Ok(if fields.is_empty() { Vec::new() } else { pairs(&fields) })
        })
    })?;
    linker.func_wrap("env", "proxy_set_header_map_pairs", |mut host: Host<'_>, map: u32, at: u32, size: u32| {
        answer(&mut host, "set_header_map_pairs", |host| {
            let fields = fields(&read(host, Run(at, size))?)?;
            *self::map(host.data_mut(), map).ok_or(BAD_ARGUMENT)? = fields;
            Ok(())
        })
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut host: Host<'_>, map: u32, name: u32, name_size: u32, at: u32, size: u32| {
            give(&mut host, "get_header_map_value", Place(at, size), |host| {
                let name = read(host, Run(name, name_size))?;
                let fields = self::map(host.data_mut(), map).ok_or(BAD_ARGUMENT)?;
                fields.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone()).ok_or(NOT_FOUND)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |mut host: Host<'_>, map: u32, name: u32, name_size: u32, value: u32, value_size: u32| {
            answer(&mut host, "replace_header_map_value", |host| {
                let (name, value) = (read(host, Run(name, name_size))?, read(host, Run(value, value_size))?);
                let fields = self::map(host.data_mut(), map).ok_or(BAD_ARGUMENT)?;
                fields.retain(|(other, _)| *other != name);
                fields.push((name, value));
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut host: Host<'_>, map: u32, name: u32, size: u32| {
            answer(&mut host, "remove_header_map_value", |host| {
                let name = read(host, Run(name, size))?;
                self::map(host.data_mut(), map).ok_or(BAD_ARGUMENT)?.retain(|(other, _)| *other != name);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn map(world: &mut World, map: u32) -> Option<&mut Vec<Header>> {
    if map == 6 {
        return world.answered.as_mut().map(|(headers, _)| headers);
    }
    let stream = world.stream()?;
    match map {
        0 => stream.request_headers.as_mut(),
        1 => stream.request_trailers.as_mut(),
        2 => stream.response_headers.as_mut(),
        3 => stream.response_trailers.as_mut(),
        _ => None,
    }
}

fn properties_and_shared_data(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut host: Host<'_>, path: u32, path_size: u32, at: u32, size: u32| {
            give(&mut host, "get_property", Place(at, size), |host| {
                let path = read(host, Run(path, path_size))?;
                let stream = host.data_mut().stream().ok_or(NOT_FOUND)?;
                stream.properties.get(&path).cloned().ok_or(NOT_FOUND)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut host: Host<'_>, path: u32, path_size: u32, value: u32, value_size: u32| {
            answer(&mut host, "set_property", |host| {
                let (path, value) = (read(host, Run(path, path_size))?, read(host, Run(value, value_size))?);
                let properties = &mut host.data_mut().stream().ok_or(NOT_FOUND)?.properties;
                // Envoy's filter state can be set once.
                if properties.contains_key(&path) {
                    return Err(BAD_ARGUMENT);
                }
                properties.insert(path, value);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut host: Host<'_>, key: u32, key_size: u32, at: u32, size: u32, cas: u32| {
            give(&mut host, "get_shared_data", Place(at, size), |host| {
                let key = read(host, Run(key, key_size))?;
                let (value, number) = host.data().shared.get(&key).ok_or(NOT_FOUND)?;
                write(host, cas, &number.to_le_bytes())?;
                Ok(value)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut host: Host<'_>, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32| {
            answer(&mut host, "set_shared_data", |host| {
                let (key, value) = (read(host, Run(key, key_size))?, read(host, Run(value, value_size))?);
                if host.data().shared.set(&key, &value, cas) { Ok(()) } else { Err(CAS_MISMATCH) }
            })
        },
    )?;
    Ok(())
}

fn streams(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |mut host: Host<'_>,
         cluster: u32,
         cluster_size: u32,
         headers: u32,
         headers_size: u32,
         body: u32,
         body_size: u32,
         trailers: u32,
         trailers_size: u32,
         timeout: u32,
         token: u32| {
            answer(&mut host, "http_call", |host| {
                let cluster = String::from_utf8_lossy(&read(host, Run(cluster, cluster_size))?).into_owned();
                let headers = fields(&read(host, Run(headers, headers_size))?)?;
                let body = read(host, Run(body, body_size))?;
                read(host, Run(trailers, trailers_size))?;
                let complete = [":method", ":path", ":authority"]
                    .iter()
                    .all(|name| headers.iter().any(|(other, _)| other == name.as_bytes()));
                if !complete || host.data().missing_clusters.contains(&cluster) {
                    return Err(BAD_ARGUMENT);
                }
                let number = host.data_mut().new_call(cluster, headers, body, timeout);
                write(host, token, &number.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut host: Host<'_>,
         status: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         _grpc: i32| {
            answer(&mut host, "send_local_response", |host| {
                let details = read(host, Run(details, details_size))?;
                let body = read(host, Run(body, body_size))?;
                let headers = fields(&read(host, Run(headers, headers_size))?)?;
                let out_of_turn = host.data().out_of_turn;
                if let Some(stream) = host.data_mut().stream() {
                    assert!(out_of_turn || stream.local.is_none(), "a request is answered once");
                    stream.local = Some(Local { status, details, headers, body });
                }
                Ok(())
            })
        },
    )?;
    let on_stream = |change: fn(&mut Stream)| {
        move |host: &mut Host<'_>, kind: u32, of: u32| {
            if kind > 3 {
                return Err(BAD_ARGUMENT);
            }
            if let Some(stream) = host.data_mut().stream().filter(|_| kind == of || of > 3) {
                change(stream);
            }
            Ok(())
        }
    };
    let resume = on_stream(|stream| stream.resumed_response = true);
    linker.func_wrap("env", "proxy_continue_stream", move |mut host: Host<'_>, kind: u32| {
        answer(&mut host, "continue_stream", |host| resume(host, kind, 1))
    })?;
    let close = on_stream(|stream| stream.closed = true);
    linker.func_wrap("env", "proxy_close_stream", move |mut host: Host<'_>, kind: u32| {
        answer(&mut host, "close_stream", |host| close(host, kind, u32::MAX))
    })?;
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |mut host: Host<'_>, name: u32, name_size: u32, arguments: u32, arguments_size: u32, at: u32, size: u32| {
            give(&mut host, "call_foreign_function", Place(at, size), |host| {
                let name = read(host, Run(name, name_size))?;
                read(host, Run(arguments, arguments_size))?;
                if name != b"clear_route_cache" {
                    return Err(NOT_FOUND);
                }
                host.data_mut().stream().ok_or(BAD_ARGUMENT)?.route_cleared = true;
                Ok(Vec::new())
            })
        },
    )?;
    Ok(())
}

fn metrics(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut host: Host<'_>, kind: u32, name: u32, size: u32, at: u32| {
            answer(&mut host, "define_metric", |host| {
                if kind > 2 {
                    return Err(BAD_ARGUMENT);
                }
                let name = String::from_utf8_lossy(&read(host, Run(name, size))?).into_owned();
                let metric = host.data_mut().define_metric(name).to_le_bytes();
                write(host, at, &metric)
            })
        },
    )?;
    linker.func_wrap("env", "proxy_increment_metric", |mut host: Host<'_>, metric: u32, _by: i64| {
        answer(&mut host, "increment_metric", |host| host.data_mut().count(metric).then_some(()).ok_or(NOT_FOUND))
    })?;
    linker.func_wrap("env", "proxy_record_metric", |mut host: Host<'_>, metric: u32, _value: u64| {
        answer(&mut host, "record_metric", |host| host.data_mut().count(metric).then_some(()).ok_or(NOT_FOUND))
    })?;
    Ok(())
}

fn environment(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    let module = "wasi_snapshot_preview1";
    let variable = |(name, value): &(String, String)| format!("{name}={value}\0").into_bytes();
    linker.func_wrap(module, "environ_sizes_get", move |mut host: Host<'_>, count: u32, size: u32| {
        answer(&mut host, "environ_sizes_get", |host| {
            let variables: Vec<_> = host.data().environment.iter().map(variable).collect();
            write(host, count, &length(&variables).to_le_bytes())?;
            write(host, size, &length(&variables.concat()).to_le_bytes())
        })
    })?;
    linker.func_wrap(module, "environ_get", move |mut host: Host<'_>, mut pointers: u32, mut at: u32| {
        answer(&mut host, "environ_get", |host| {
            for variable in host.data().environment.iter().map(variable).collect::<Vec<_>>() {
                write(host, pointers, &at.to_le_bytes())?;
                write(host, at, &variable)?;
                (pointers, at) = (pointers + 4, at + length(&variable));
            }
            Ok(())
        })
    })?;
    Ok(())
}

/// What a function that gives nothing back returns.
fn answer(host: &mut Host<'_>, name: &str, act: impl FnOnce(&mut Host<'_>) -> Answer<()>) -> u32 {
    match host.data_mut().flaw(name) {
        Some(Flaw::Status(status)) => status,
        Some(Flaw::Nothing | Flaw::WildPointer) => OK,
        None => act(host).err().unwrap_or(OK),
    }
}

/// What a function that gives bytes back returns.
fn give(host: &mut Host<'_>, name: &str, place: Place, act: impl FnOnce(&mut Host<'_>) -> Answer<Vec<u8>>) -> u32 {
    match host.data_mut().flaw(name) {
        Some(Flaw::Status(status)) => status,
        Some(Flaw::Nothing) => OK,
        Some(Flaw::WildPointer) => {
            let wild = [(place.0, 8_u32), (place.1, u32::MAX / 2)];
            wild.into_iter().find_map(|(at, value)| write(host, at, &value.to_le_bytes()).err()).unwrap_or(OK)
        }
        None => act(host).and_then(|bytes| hand_over(host, place, &bytes)).err().unwrap_or(OK),
    }
}

/// Puts bytes into memory that the filter allocates for them.
fn hand_over(host: &mut Host<'_>, place: Place, bytes: &[u8]) -> Answer<()> {
    let mut at = 0;
    if !bytes.is_empty() {
        let allocate = host.get_export("proxy_on_memory_allocate").and_then(Extern::into_func);
        let allocate = allocate.and_then(|allocate| allocate.typed::<u32, u32>(&mut *host).ok());
        at =
            allocate.and_then(|allocate| allocate.call(&mut *host, length(bytes)).ok()).ok_or(INVALID_MEMORY_ACCESS)?;
        write(host, at, bytes)?;
    }
    write(host, place.0, &at.to_le_bytes())?;
    write(host, place.1, &length(bytes).to_le_bytes())
}

fn memory(host: &mut Host<'_>) -> Answer<Memory> {
    let memory = host.get_export("memory").and_then(Extern::into_memory).ok_or(INVALID_MEMORY_ACCESS)?;
    host.data_mut().memory_size = memory.data_size(&mut *host);
    Ok(memory)
}

fn read(host: &mut Host<'_>, Run(at, size): Run) -> Answer<Vec<u8>> {
    let memory = memory(host)?;
    let end = at.checked_add(size).ok_or(INVALID_MEMORY_ACCESS)?;
    memory.data(host).get(at as usize..end as usize).map(<[u8]>::to_vec).ok_or(INVALID_MEMORY_ACCESS)
}

fn write(host: &mut Host<'_>, at: u32, bytes: &[u8]) -> Answer<()> {
    memory(host)?.write(host, at as usize, bytes).map_err(|_| INVALID_MEMORY_ACCESS)
}

fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("tests are small")
}

/// A map in proxy-wasm's form.
fn pairs(fields: &[Header]) -> Vec<u8> {
    let mut bytes = length(fields).to_le_bytes().to_vec();
    for (name, value) in fields {
        bytes.extend(length(name).to_le_bytes());
        bytes.extend(length(value).to_le_bytes());
    }
    for part in fields.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(part);
        bytes.push(0);
    }
    bytes
}

/// proxy-wasm-cpp-host takes no larger map, and none of more fields.
const MAP_BYTES: usize = 1 << 20;
const MAP_FIELDS: usize = 1024;

/// A map out of proxy-wasm's form. As in proxy-wasm-cpp-host, anything wrong with it makes it empty, and one that is too large is
/// refused.
fn fields(bytes: &[u8]) -> Result<Vec<Header>, u32> {
    let fields = read_fields(bytes).unwrap_or_default();
    if bytes.len() > MAP_BYTES || fields.len() > MAP_FIELDS { Err(BAD_ARGUMENT) } else { Ok(fields) }
}

fn read_fields(bytes: &[u8]) -> Option<Vec<Header>> {
    let mut rest = bytes;
    let count = word(&mut rest)?;
    let sizes: Vec<_> = (0..count).map(|_| Some((word(&mut rest)?, word(&mut rest)?))).collect::<Option<_>>()?;
    let mut part = |size: u32| {
        let (part, behind) = rest.split_at_checked(size as usize)?;
        rest = behind.strip_prefix(&[0])?;
        Some(part.to_vec())
    };
    let fields = sizes.into_iter().map(|(name, value)| Some((part(name)?, part(value)?))).collect::<Option<_>>()?;
    rest.is_empty().then_some(fields)
}

fn word(rest: &mut &[u8]) -> Option<u32> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_le_bytes(*word))
}
