//! Tables of values that may be long, by height, in pieces that each fill a page.
//!
//! redb stores a value in a run of pages whose number is a power of two. A value slightly longer than such a run
//! would take twice its space.

use std::ops::Range;

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::StoreError;

/// Bytes of a piece. The last piece of a value may have fewer, but at least one unless the value is empty. The rest
/// of a page of 4096 bytes is for the key and redb's own data.
const PIECE_BYTES: usize = 4032;

/// A table of long values: the pieces by height and place.
pub(super) type Table = TableDefinition<'static, (u64, u32), &'static [u8]>;

/// Sets the value of a height.
pub(super) fn put(write: &WriteTransaction, table: Table, height: u64, value: &[u8]) -> Result<(), StoreError> {
    let mut pieces = write.open_table(table)?;
    // An empty value is one piece, so that it differs from no value.
    let first = &value[..value.len().min(PIECE_BYTES)];
    let others = value[first.len()..].chunks(PIECE_BYTES);
    let mut place = 0;
    for piece in std::iter::once(first).chain(others) {
        pieces.insert((height, place), piece)?;
        place += 1;
    }
    pieces.retain_in((height, place)..=(height, u32::MAX), |_, _| false)?;
    Ok(())
}

/// The value of a height; `None` if there is none.
pub(super) fn get(read: &ReadTransaction, table: Table, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut value: Option<Vec<u8>> = None;
    for piece in read.open_table(table)?.range((height, 0)..=(height, u32::MAX))? {
        value.get_or_insert_default().extend_from_slice(piece?.1.value());
    }
    Ok(value)
}

/// The given bytes of a height's value, as far as it reaches.
pub(super) fn part(
    read: &ReadTransaction,
    table: Table,
    height: u64,
    bytes: Range<usize>,
) -> Result<Vec<u8>, StoreError> {
    let place = |at: usize| u32::try_from(at / PIECE_BYTES).unwrap_or(u32::MAX);
    let mut part = Vec::with_capacity(bytes.len() + 2 * PIECE_BYTES);
    for piece in
        read.open_table(table)?.range((height, place(bytes.start))..(height, place(bytes.end + PIECE_BYTES - 1)))?
    {
        part.extend_from_slice(piece?.1.value());
    }
    part.drain(..part.len().min(bytes.start % PIECE_BYTES));
    part.truncate(bytes.len());
    Ok(part)
}

/// The values from a height on, lowest first.
pub(super) fn from(
    read: &ReadTransaction,
    table: Table,
    height: u64,
) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>), StoreError>>, StoreError> {
    let mut pieces = read.open_table(table)?.range((height, 0)..)?.peekable();
    Ok(std::iter::from_fn(move || {
        let (height, mut value) = match pieces.next()? {
            Ok((key, piece)) => (key.value().0, piece.value().to_vec()),
            Err(error) => return Some(Err(error.into())),
        };
        let is_of = |next: &Result<(redb::AccessGuard<'_, (u64, u32)>, _), _>| {
            next.as_ref().is_ok_and(|(key, _)| key.value().0 == height)
        };
        while let Some(next) = pieces.next_if(is_of) {
            match next {
                Ok((_, piece)) => value.extend_from_slice(piece.value()),
                Err(error) => return Some(Err(error.into())),
            }
        }
        Some(Ok((height, value)))
    }))
}

/// The lowest height that has a value.
pub(super) fn lowest(read: &ReadTransaction, table: Table) -> Result<Option<u64>, StoreError> {
    Ok(read.open_table(table)?.first()?.map(|(key, _)| key.value().0))
}

/// Removes the values below a height.
pub(super) fn forget_below(write: &WriteTransaction, table: Table, height: u64) -> Result<(), StoreError> {
    write.open_table(table)?.retain_in(..(height, 0), |_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::{Database, ReadableDatabase, ReadableTableMetadata};

    use super::*;

    const TABLE: Table = TableDefinition::new("long");

    fn database() -> Database {
        let backend = redb::backends::InMemoryBackend::new();
        Database::builder().create_with_backend(backend).expect("made")
    }

    fn written(database: &Database, values: &[(u64, Vec<u8>)]) {
        let write = database.begin_write().expect("a write");
        for (height, value) in values {
            put(&write, TABLE, *height, value).expect("put");
        }
        write.commit().expect("written");
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let long = (0..4usize, 0..3usize).prop_map(|(pieces, more)| pieces * PIECE_BYTES + more);
        (prop_oneof![0..100usize, long, 0..20_000usize], any::<u8>())
            .prop_map(|(length, salt)| (0..length).map(|at| (at % 251) as u8 ^ salt).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn what_is_read_is_what_was_put_last(
            values in prop::collection::vec((0..6u64, value()), 1..12),
            from_height in 0..7u64,
            bounds in (0..9_000usize, 0..9_000usize),
        ) {
            let database = database();
            written(&database, &values);
            let last: std::collections::BTreeMap<u64, Vec<u8>> = values.into_iter().collect();
            let read = database.begin_read().expect("a read");
            for height in 0..6 {
                prop_assert_eq!(&get(&read, TABLE, height).expect("read"), &last.get(&height).cloned());
                let whole = last.get(&height).cloned().unwrap_or_default();
                let (start, end) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
                let expected = &whole[start.min(whole.len())..end.min(whole.len())];
                prop_assert_eq!(&part(&read, TABLE, height, start..end).expect("read")[..], expected);
            }
            let listed: Result<Vec<_>, _> = from(&read, TABLE, from_height).expect("read").collect();
            let expected: Vec<_> = last.range(from_height..).map(|(height, value)| (*height, value.clone())).collect();
            prop_assert_eq!(listed.expect("read"), expected);
            prop_assert_eq!(lowest(&read, TABLE).expect("read"), last.keys().next().copied());
            drop(read);
            let write = database.begin_write().expect("a write");
            forget_below(&write, TABLE, from_height).expect("forgotten");
            write.commit().expect("written");
            let read = database.begin_read().expect("a read");
            prop_assert_eq!(lowest(&read, TABLE).expect("read"), last.range(from_height..).next().map(|(height, _)| *height));
        }
    }

    #[test]
    fn a_value_takes_little_more_room_than_it_has_bytes() {
        let database = database();
        let bytes = (1 << 20) + 1;
        written(&database, &(0..8).map(|height| (height, vec![7; bytes])).collect::<Vec<_>>());
        let stats = database.begin_read().expect("a read").open_table(TABLE).expect("a table").stats().expect("read");
        let beside = stats.metadata_bytes() + stats.fragmented_bytes();
        assert!(beside * 20 < 8 * bytes as u64, "{beside} beside {}", stats.stored_bytes());
    }
}
