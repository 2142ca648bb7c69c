//! Answers, as far as a load generator looks at them: where one ends, and the one error code in it.

use crate::model::ErrorCode;

/// Cuts a stream into answers and checks each one's error code, which stands at a fixed place because every request named
/// the same topic and one partition.
#[derive(Debug)]
pub(super) struct Answers {
    /// Where the error code stands, counted from the answer's length field.
    error_at: usize,
    /// The beginning of an answer whose end has not come yet.
    partial: Vec<u8>,
}

/// Bytes that an answer to a produce request may have: far more than any has. More means that we lost track.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why answers cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the broker answered {0}: {message}", message = .0.message())]
    Refused(ErrorCode),
    #[error("the broker sent an answer that is no answer to a produce request")]
    Malformed,
}

impl Answers {
    pub(super) fn new(error_at: usize) -> Self {
        Self { error_at, partial: Vec::new() }
    }

    /// Takes the next bytes of the stream; the number of answers that ended in them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, AnswerError> {
        if self.partial.is_empty() {
            let (count, rest) = self.count(bytes)?;
            self.partial.extend_from_slice(rest);
            return Ok(count);
        }
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let (count, rest) = self.count(&all)?;
        self.partial = rest.to_vec();
        Ok(count)
    }

    fn count<'b>(&self, mut bytes: &'b [u8]) -> Result<(usize, &'b [u8]), AnswerError> {
        let mut count = 0;
        while let Some(length) = bytes.first_chunk() {
            let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| AnswerError::Malformed)?;
            if ANSWER_BYTES_MAX < length {
                return Err(AnswerError::Malformed);
            }
            let Some((answer, rest)) = bytes.split_at_checked(4 + length) else { break };
            let code = answer.get(self.error_at..).and_then(|tail| tail.first_chunk()).ok_or(AnswerError::Malformed)?;
            match i16::from_be_bytes(*code) {
                0 => count += 1,
                code => return Err(AnswerError::Refused(ErrorCode::from_code(code))),
            }
            bytes = rest;
        }
        Ok((count, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i16) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 9, 1, 2, 3, 4];
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(&[9, 9, 9]);
        bytes
    }

    #[test]
    fn answers_are_counted_however_the_stream_is_cut() {
        let stream = answer(0).repeat(10);
        for piece in 1..stream.len() {
            let mut answers = Answers::new(8);
            let counted = stream.chunks(piece).map(|bytes| answers.take(bytes).expect("good answers")).sum::<usize>();
            assert_eq!(counted, 10, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_error_code_is_an_error() {
        let mut answers = Answers::new(8);
        assert_eq!(answers.take(&answer(6)), Err(AnswerError::Refused(ErrorCode::NotLeaderOrFollower)));
        assert_eq!(Answers::new(8).take(&[0xff; 4]), Err(AnswerError::Malformed));
        assert_eq!(Answers::new(8).take(&[0, 0, 0, 1, 7]), Err(AnswerError::Malformed));
    }
}
