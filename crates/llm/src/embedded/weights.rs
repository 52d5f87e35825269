//! The weights file: reading, verification, and access to tensors and metadata.

use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::error::EmbeddedError;

/// The length of the model's file in bytes.
const FILE_BYTES: u64 = 98_362_432;
/// The file's SHA-256; `scripts/fetch-model` has the same.
const FILE_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The file in memory, verified, with its directory parsed.
pub(crate) struct Gguf {
    content: Content,
    bytes: Vec<u8>,
}

impl Gguf {
    /// Reads and verifies the file.
    ///
    /// The whole file is hashed at every start: it costs about a tenth of a second, and a marker
    /// file next to it would vouch for bytes that may have changed since.
    pub(crate) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let bytes = read_verified(path)?;
        let content = Content::read(&mut Cursor::new(&bytes)).map_err(format_error)?;
        Ok(Self { content, bytes })
    }

    /// A whole number of the metadata.
    pub(crate) fn count(&self, key: &str) -> Result<usize, EmbeddedError> {
        let value = self.value(key)?.to_u32().map_err(format_error)?;
        usize::try_from(value).map_err(|error| EmbeddedError::Format(error.to_string()))
    }

    /// A floating-point number of the metadata.
    pub(crate) fn number(&self, key: &str) -> Result<f32, EmbeddedError> {
        self.value(key)?.to_f32().map_err(format_error)
    }

    /// A text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Result<&str, EmbeddedError> {
        Ok(self.value(key)?.to_string().map_err(format_error)?)
    }

    /// A list of texts of the metadata.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<&str>, EmbeddedError> {
        let values = self.value(key)?.to_vec().map_err(format_error)?;
        values
            .iter()
            .map(|value| Ok(value.to_string().map_err(format_error)?.as_str()))
            .collect()
    }

    /// A list of whole numbers of the metadata.
    pub(crate) fn integers(&self, key: &str) -> Result<Vec<i32>, EmbeddedError> {
        let values = self.value(key)?.to_vec().map_err(format_error)?;
        let integer = |value: &Value| value.to_i32().map_err(format_error);
        values.iter().map(integer).collect()
    }

    /// A small tensor (a norm's weights) in full precision.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, EmbeddedError> {
        let stored = self.stored(name)?;
        Ok(stored.dequantize(&Device::Cpu)?)
    }

    /// A weight matrix as Q8_0.
    ///
    /// The file has them as Q4_1, for which the library has no vector instructions: a
    /// token would take several times as long. The finer grid loses nothing that shows.
    pub(crate) fn matrix(&self, name: &str) -> Result<QTensor, EmbeddedError> {
        let stored = self.stored(name)?;
        if stored.dtype() == GgmlDType::Q8_0 {
            return Ok(stored);
        }
        let full = stored.dequantize(&Device::Cpu)?;
        Ok(QTensor::quantize(&full, GgmlDType::Q8_0)?)
    }

    fn stored(&self, name: &str) -> Result<QTensor, EmbeddedError> {
        let mut reader = Cursor::new(&self.bytes);
        self.content
            .tensor(&mut reader, name, &Device::Cpu)
            .map_err(format_error)
    }

    fn value(&self, key: &str) -> Result<&Value, EmbeddedError> {
        let missing = || EmbeddedError::Format(format!("no metadata {key:?}"));
        self.content.metadata.get(key).ok_or_else(missing)
    }
}

/// The file's bytes, if their digest is the model's.
fn read_verified(path: &Path) -> Result<Vec<u8>, EmbeddedError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => EmbeddedError::Missing { path: path.into() },
        _ => EmbeddedError::Unreadable {
            path: path.into(),
            source,
        },
    };
    // The length first: checking it costs nothing, and keeps a wrong file from being read into
    // memory.
    let found = fs::metadata(path).map_err(unreadable)?.len();
    if found != FILE_BYTES {
        return Err(EmbeddedError::WrongSize {
            path: path.into(),
            found,
            expected: FILE_BYTES,
        });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    if hex(&Sha256::digest(&bytes)) != FILE_SHA256 {
        return Err(EmbeddedError::WrongHash { path: path.into() });
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn format_error(error: candle_core::Error) -> EmbeddedError {
    EmbeddedError::Format(error.to_string())
}
