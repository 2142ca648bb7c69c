//! The bytes of one simulated file: what a reader sees, and what a power failure may leave of it.
//!
//! *Invariant*: after a power failure every 512-byte sector holds something that was written to it since it was last made
//! durable, or what was durable; the length is one that the file had since, or one in between while it grew.
//! *Does not know*: names, faults, other files.

use std::collections::BTreeMap;

use super::dice::Dice;

/// What the medium writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// States of one sector that are remembered between two syncs. Beyond it the oldest unflushed one is forgotten, which only
/// makes the failure a little kinder.
const STATES_PER_SECTOR_MAX: usize = 6;

/// One state of a sector.
type SectorBytes = Box<[u8; SECTOR_BYTES]>;

/// Number of the last shortening that is not durable. What may survive of a sector depends on whether the shortening did.
type Era = u32;

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    live: Vec<u8>,
    /// Sectors of which not only the live state may be on the medium.
    unsettled: BTreeMap<usize, Sector>,
    /// Lengths that may be on the medium: the durable one, then those set since.
    lens: Vec<(Era, usize)>,
    era: Era,
}

#[derive(Clone, Debug, Default)]
struct Sector {
    /// For an era, all states that the medium may hold when its last shortening is the one of that era.
    states: BTreeMap<Era, Vec<SectorBytes>>,
    /// Written since the last sync that was tried. After a failed one the system takes the sector for clean.
    dirty: bool,
}

impl Content {
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// Changes bytes for the reader. The file grows as needed.
    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        let Some(end) = position.checked_add(bytes.len()).filter(|_| !bytes.is_empty()) else { return };
        let touched = self.live.len().min(position) / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        let before = touched.clone().map(|sector| (sector, self.live_sector(sector))).collect::<Vec<_>>();
        if self.live.len() < end {
            self.live.resize(end, 0);
            self.note_len();
        }
        if let Some(target) = self.live.get_mut(position..end) {
            target.copy_from_slice(bytes);
        }
        for (sector, before) in before {
            let after = self.live_sector(sector);
            if sector < position / SECTOR_BYTES && before == after {
                continue; // zeros in the gap before the written range
            }
            self.push_state(sector, before, after);
        }
    }

    /// Shortens the file, or extends it with zeros.
    pub(super) fn set_len(&mut self, len: usize) {
        let old_len = self.live.len();
        if len < old_len {
            let cut = len / SECTOR_BYTES..old_len.div_ceil(SECTOR_BYTES);
            let before = cut.clone().map(|sector| (sector, self.live_sector(sector))).collect::<Vec<_>>();
            self.era = self.era.saturating_add(1);
            let era = self.era;
            for (number, before) in before {
                let kept = len.saturating_sub(number.saturating_mul(SECTOR_BYTES)).min(SECTOR_BYTES);
                let sector = self.unsettled.entry(number).or_default();
                let mut states = sector.latest_or(before).clone();
                states.iter_mut().for_each(|state| state.iter_mut().skip(kept).for_each(|byte| *byte = 0));
                sector.states.insert(era, states);
            }
        }
        if len != old_len {
            self.live.resize(len, 0);
            self.note_len();
        }
    }

    /// All that was written is durable now, but for sectors that an earlier failed sync has given up.
    pub(super) fn settle(&mut self) {
        self.unsettled.retain(|_, sector| !sector.dirty);
        for sector in self.unsettled.values_mut() {
            let states = sector.states.pop_last().map(|(_, states)| states).unwrap_or_default();
            sector.states = BTreeMap::from([(0, states)]);
        }
        self.era = 0;
        self.lens = vec![(0, self.live.len())];
    }

    /// A sync failed: the system takes all sectors for clean, and what the medium holds stays open.
    pub(super) fn give_up(&mut self) {
        self.unsettled.values_mut().for_each(|sector| sector.dirty = false);
    }

    /// The power fails. Each unsettled sector keeps one of its states: with `survival` percent chance the last one, else any.
    pub(super) fn crash(&mut self, dice: &mut Dice, survival: u64) {
        let Some(&(first_era, first_len)) = self.lens.first() else {
            // Never synced: the file may be there, and empty.
            self.lens.push((0, 0));
            return self.crash(dice, survival);
        };
        let (era, len) = if dice.percent(survival) {
            self.lens.last().copied().unwrap_or((first_era, first_len))
        } else {
            let at = dice.below_usize(self.lens.len());
            let (era, len) = self.lens.get(at).copied().unwrap_or((first_era, first_len));
            match self.lens.get(at.saturating_add(1)) {
                // Growing goes through every length in between.
                Some(&(next_era, next)) if next_era == era && len < next && dice.percent(50) => {
                    (era, len.saturating_add(dice.below_usize(next.saturating_sub(len).saturating_add(1))))
                }
                _ => (era, len),
            }
        };
        for (number, sector) in std::mem::take(&mut self.unsettled) {
            let Some((_, states)) = sector.states.range(..=era).next_back() else { continue };
            let last = states.len().saturating_sub(1);
            let choice = if dice.percent(survival) { last } else { dice.below_usize(states.len()) };
            let Some(state) = states.get(choice) else { continue };
            self.store_sector(number, state);
        }
        self.live.resize(len, 0);
        self.settle();
    }

    /// Turns one bit over, as a failing medium does. `false` when the file is shorter.
    pub(super) fn flip(&mut self, position: usize, bit: u32) -> bool {
        let mask = 1_u8 << (bit % 8);
        let Some(byte) = self.live.get_mut(position) else { return false };
        *byte ^= mask;
        if let Some(sector) = self.unsettled.get_mut(&(position / SECTOR_BYTES)) {
            for state in sector.states.values_mut().flatten() {
                if let Some(byte) = state.get_mut(position % SECTOR_BYTES) {
                    *byte ^= mask;
                }
            }
        }
        true
    }

    fn live_sector(&self, number: usize) -> SectorBytes {
        let mut state = Box::new([0; SECTOR_BYTES]);
        let from = number.saturating_mul(SECTOR_BYTES);
        state.iter_mut().zip(self.live.iter().skip(from)).for_each(|(to, from)| *to = *from);
        state
    }

    /// Puts a state back. Grows the file to hold it: the length is cut afterwards.
    fn store_sector(&mut self, number: usize, state: &[u8; SECTOR_BYTES]) {
        let from = number.saturating_mul(SECTOR_BYTES);
        let to = from.saturating_add(SECTOR_BYTES);
        if self.live.len() < to {
            self.live.resize(to, 0);
        }
        if let Some(target) = self.live.get_mut(from..to) {
            target.copy_from_slice(state);
        }
    }

    fn push_state(&mut self, number: usize, before: SectorBytes, after: SectorBytes) {
        let era = self.era;
        let sector = self.unsettled.entry(number).or_default();
        let latest = sector.latest_or(before).clone();
        let states = sector.states.entry(era).or_insert(latest);
        states.push(after);
        if STATES_PER_SECTOR_MAX < states.len() {
            states.remove(1);
        }
        sector.dirty = true;
    }

    fn note_len(&mut self) {
        if self.lens.is_empty() {
            self.lens.push((0, 0));
        }
        let len = self.live.len();
        let last_two = self.lens.rchunks(2).next();
        match last_two {
            // Growth upon growth in one era: the lengths between are reachable anyway.
            Some([(era, older), (newer_era, newer)])
                if *era == self.era && *newer_era == self.era && older < newer && *newer < len =>
            {
                self.lens.pop();
            }
            _ => {}
        }
        self.lens.push((self.era, len));
    }
}

impl Sector {
    /// The states of the newest era; of a sector that was settled so far only `settled`.
    fn latest_or(&mut self, settled: SectorBytes) -> &Vec<SectorBytes> {
        if self.states.is_empty() {
            self.states.insert(0, vec![settled]);
        }
        match self.states.last_key_value() {
            Some((_, states)) => states,
            None => unreachable!("a state was just put in"),
        }
    }
}
