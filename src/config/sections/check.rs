//! Checks that concern more than one setting.

use super::Settings;
use crate::config::ConfigError;
use crate::config::section::{POSITIVE, Setting};
use crate::guard::Trust;

impl Settings {
    /// Refuses numbers out of their bounds, and settings that contradict each other.
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        Setting::check(self, "", &POSITIVE)?;
        self.check_address()?;
        self.check_in_flight()?;
        self.models.check()?;
        if self.documents.trusted_documents != Trust::Off && self.documents.manifest.is_none() {
            return Err(ConfigError::invalid(
                "documents.manifest",
                "is missing: documents.trusted_documents needs the manifest that lists them",
            ));
        }
        let (default, most) = (self.limits.page_size_default, self.limits.page_size);
        if default > most {
            return Err(ConfigError::invalid(
                "limits.page_size_default",
                format!("{default} is not allowed: must be at most limits.page_size ({most})"),
            ));
        }
        Ok(())
    }

    fn check_address(&self) -> Result<(), ConfigError> {
        let address = self.http.address;
        if self.auth.keys.is_empty() && !address.is_loopback() {
            return Err(ConfigError::invalid(
                "http.address",
                format!(
                    "{address} can be reached from other machines, which needs [[auth.keys]]; \
                     without keys only loopback (127.0.0.1 or ::1) is allowed"
                ),
            ));
        }
        Ok(())
    }

    fn check_in_flight(&self) -> Result<(), ConfigError> {
        let http = &self.http;
        let largest = http.body_limit_bytes.max(http.websocket_message_bytes);
        if http.in_flight_bytes / 4 < largest {
            return Err(ConfigError::invalid(
                "http.in_flight_bytes",
                format!(
                    "{} is not allowed: must be at least four times {largest}, the larger of \
                     http.body_limit_bytes and http.websocket_message_bytes",
                    http.in_flight_bytes
                ),
            ));
        }
        Ok(())
    }
}
