//! Values for tests: the same seed gives the same values, on every machine.

/// SplitMix64, which is enough to be unlike zero.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same values for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `end`, less one.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("a test's bound")).expect("below a usize")
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Small, large and negative numbers, each often.
    pub fn number(&mut self) -> i64 {
        let bits = self.next().cast_signed();
        match self.below(4) {
            0 => bits & 0x7f,
            1 => -1,
            _ => bits,
        }
    }

    /// Elements of an array: none, one, or a few.
    pub fn elements(&mut self) -> usize {
        self.below(4)
    }

    /// Text of up to 40 characters, sometimes of 130, whose compact length takes two bytes.
    pub fn text(&mut self) -> String {
        let length = if self.below(10) == 0 { 130 } else { self.below(40) };
        let mut text = (0..length).map(|_| char::from(b'!' + self.byte() % 90)).collect::<String>();
        text.extend((self.below(8) == 0).then_some('☃'));
        text
    }

    /// Bytes, few as a rule.
    pub fn blob(&mut self) -> Vec<u8> {
        let length = if self.below(10) == 0 { 300 } else { self.below(50) };
        (0..length).map(|_| self.byte()).collect()
    }
}
