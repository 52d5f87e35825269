//! Signed reasoning: selects which of it is sent back to its vendor.
//!
//! A vendor refuses a signature that it has not made itself, and some bind it to more: to the
//! model, to the account, or to the whole preceding part of the request. So each signature is
//! stored with digests of these, as `SIGNER#ACCOUNT.PREFIX:PROOF`, and goes back only in a request
//! in which what binds it is the same again. Left-out reasoning costs the model its earlier
//! thoughts; wrongly sent reasoning would make the session unusable.
//!
//! - Anthropic binds to the model, the account, `system`, `tools` and every earlier message
//!   (`cache_control` aside):
//!   <https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks>.
//! - OpenAI's encrypted reasoning can be read by its organisation and model alone.
//! - Google's signatures by its account; a documented value replaces a missing one.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{ChatRequest, Content};

/// The bytes of a digest that are kept: enough to avoid collisions by chance.
const DIGEST_BYTES: usize = 15;
/// The maximum number of remembered refused signatures of one provider.
const MAX_REFUSED: usize = 4_096;

/// The vendor that signs reasoning, and the data that the signature is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signer {
    name: &'static str,
    bound: Bound,
    /// True if the proof ends with the id of the next call.
    names_call: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// To the account and the model.
    Account,
    /// The account, the model and the preceding part of the request.
    Prefix,
}

impl Signer {
    /// A signer whose signatures are bound to the account and the model.
    pub(super) const fn of_account(name: &'static str) -> Self {
        Self {
            name,
            bound: Bound::Account,
            names_call: false,
        }
    }

    /// A signer whose signatures are bound to the whole request before them.
    pub(super) const fn of_prefix(name: &'static str) -> Self {
        Self {
            name,
            bound: Bound::Prefix,
            names_call: false,
        }
    }

    /// The same signer, with the vendor's id of the following call at the end of its proof.
    pub(super) const fn naming_its_call(self) -> Self {
        Self {
            names_call: true,
            ..self
        }
    }

    /// Returns true if its proofs end with that id.
    pub(super) const fn names_call(self) -> bool {
        self.names_call
    }

    /// The same signer, for a model that does not check the preceding part.
    pub(super) const fn unless(self, is_bound: bool) -> Self {
        match is_bound {
            true => self,
            false => Self::of_account(self.name),
        }
    }
}

/// The selection of signatures that are sent back with one request.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Digest of the provider's address and key; empty for a provider without either.
    account: Arc<str>,
    wanted: Wanted,
    refused: Option<Arc<Refused>>,
}

/// The amount of earlier reasoning in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The reasoning that the vendor accepts.
    #[default]
    Accepted,
    /// None: the vendor has refused it once.
    Nothing,
    /// The reasoning of every answer, empty if there was none: the vendor has required it once.
    Everything,
}

impl PartialEq for Past {
    fn eq(&self, other: &Self) -> bool {
        (&self.account, self.wanted) == (&other.account, other.wanted)
    }
}

impl Past {
    /// The selection for a provider's account.
    pub(super) fn of(account: Arc<str>, wanted: Wanted, refused: Arc<Refused>) -> Self {
        Self {
            account,
            wanted,
            refused: Some(refused),
        }
    }

    /// The amount of earlier reasoning that is sent.
    pub(super) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// The proof of a signature, if it is sent back with a request of this binding.
    pub(super) fn proof<'a>(
        &self,
        signer: Signer,
        bindings: &Bindings,
        signature: Option<&'a str>,
    ) -> Option<&'a str> {
        let signature = signature?;
        let rest = signature.strip_prefix(signer.name)?.strip_prefix('#')?;
        let (bound, proof) = rest.split_once(':')?;
        let (account, prefix) = bound.split_once('.')?;
        let is_same = account == bindings.account
            && (signer.bound == Bound::Account || prefix == bindings.prefix);
        let is_refused = || {
            let refused = self.refused.as_ref();
            refused.is_some_and(|refused| refused.contains(signature))
        };
        let goes_back = is_same && self.wanted != Wanted::Nothing && !is_refused();
        goes_back.then_some(proof)
    }
}

/// The bindings of an answer's signatures, as digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bindings {
    account: String,
    prefix: String,
}

impl Bindings {
    /// A proof in its stored form.
    pub(super) fn signature(&self, signer: Signer, proof: &str) -> String {
        let Self { account, prefix } = self;
        format!("{}#{account}.{prefix}:{proof}", signer.name)
    }
}

/// The digest of the request so far.
pub(super) struct Prefix {
    account: String,
    sent: Sha256,
}

impl Prefix {
    /// The beginning of each request to this model.
    pub(super) fn new(past: &Past, model: &str) -> Self {
        let mut sent = Sha256::new();
        for text in [&*past.account, model] {
            sent.update((text.len() as u64).to_le_bytes());
            sent.update(text);
        }
        let account = short(&sent);
        Self { account, sent }
    }

    /// Adds the next part of the request.
    pub(super) fn add(&mut self, sent: &impl Serialize) {
        // Writing into a digest does not fail, nor does the serialisation of JSON that is sent as
        // well.
        let _ = serde_json::to_writer(Sink(&mut self.sent), sent);
        self.sent.update([0]);
    }

    /// The binding of a signature at this position.
    pub(super) fn bindings(&self) -> Bindings {
        Bindings {
            account: self.account.clone(),
            prefix: short(&self.sent),
        }
    }
}

struct Sink<'a>(&'a mut Sha256);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn short(digest: &Sha256) -> String {
    let digest = digest.clone().finalize();
    URL_SAFE_NO_PAD.encode(digest.get(..DIGEST_BYTES).unwrap_or_default())
}

/// The digest of an account: the address of its API, and the key.
pub(super) fn account(base_url: &str, key: Option<&str>) -> Arc<str> {
    let mut digest = Sha256::new();
    digest.update(base_url);
    digest.update([0]);
    digest.update(key.unwrap_or_default());
    short(&digest).into()
}

/// Signatures that a provider has refused in spite of a matching binding: sending them again would
/// cost each later call a refusal.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashSet<u64>>);

impl Refused {
    /// Adds all signatures of a request.
    pub(super) fn add(&self, request: &ChatRequest) {
        let contents = request.messages.iter().flat_map(|one| &one.content);
        let signatures = contents.filter_map(|content| match content {
            Content::Reasoning { signature, .. } => signature.as_deref(),
            _ => None,
        });
        let mut refused = self.lock();
        for signature in signatures {
            // Forgotten signatures are refused, and remembered, once more.
            if refused.len() >= MAX_REFUSED {
                refused.clear();
            }
            refused.insert(hash(signature));
        }
    }

    fn contains(&self, signature: &str) -> bool {
        let refused = self.lock();
        !refused.is_empty() && refused.contains(&hash(signature))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(signature: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    signature.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Bindings, Past, Prefix, Refused, Signer, Wanted, account};
    use crate::samples::{reasoning, says};
    use crate::{ChatRequest, ChatRole};

    const CLAUDE: Signer = Signer::of_prefix("claude");
    const GPT: Signer = Signer::of_account("gpt");

    fn past(key: &str, wanted: Wanted) -> Past {
        Past::of(account("https://h/v1", Some(key)), wanted, Arc::default())
    }

    #[test]
    fn signature_is_sent_back_to_its_signer() {
        let asked = |key: &str, model: &str, sent: &str| {
            let mut prefix = Prefix::new(&past(key, Wanted::Accepted), model);
            prefix.add(&sent);
            prefix.bindings()
        };
        let here = past("key", Wanted::Accepted);
        let bindings = asked("key", "large", "Hello");
        let claudes = bindings.signature(CLAUDE, "c2ln");
        let gpts = bindings.signature(GPT, "rs_1:ZW5j");
        let proof = |signer, bindings: &Bindings, signature: &str| {
            let proof = here.proof(signer, bindings, Some(signature));
            proof.map(str::to_owned)
        };
        assert_eq!(proof(CLAUDE, &bindings, &claudes).as_deref(), Some("c2ln"));
        assert_eq!(proof(GPT, &bindings, &gpts).as_deref(), Some("rs_1:ZW5j"));
        assert_eq!(proof(GPT, &bindings, &claudes), None);
        assert_eq!(
            proof(CLAUDE, &bindings, "claude:c2ln"),
            None,
            "bound to nothing"
        );
        // One of them does not depend on the beginning.
        let other = asked("key", "large", "Good day");
        assert_eq!(proof(CLAUDE, &other, &claudes), None);
        assert_eq!(proof(GPT, &other, &gpts).as_deref(), Some("rs_1:ZW5j"));
        let older = CLAUDE.unless(false);
        assert_eq!(proof(older, &other, &claudes).as_deref(), Some("c2ln"));
        for other in [
            asked("key2", "large", "Hello"),
            asked("key", "small", "Hello"),
        ] {
            assert_eq!(proof(CLAUDE, &other, &claudes), None);
            assert_eq!(proof(GPT, &other, &gpts), None);
        }
    }

    #[test]
    fn refused_parameters_are_left_out() {
        let bindings = Prefix::new(&past("key", Wanted::Accepted), "large").bindings();
        let signature = bindings.signature(CLAUDE, "c2ln");
        let nothing = past("key", Wanted::Nothing);
        assert_eq!(nothing.proof(CLAUDE, &bindings, Some(&signature)), None);
        let refused = Arc::new(Refused::default());
        let thought = says(ChatRole::Assistant, vec![reasoning("Hm", Some(&signature))]);
        refused.add(&ChatRequest::new("large", vec![thought]));
        let remembered = Past::of(
            account("https://h/v1", Some("key")),
            Wanted::Accepted,
            refused,
        );
        assert_eq!(remembered.proof(CLAUDE, &bindings, Some(&signature)), None);
        let newer = bindings.signature(CLAUDE, "bmV3");
        let proof = remembered.proof(CLAUDE, &bindings, Some(&newer));
        assert_eq!(proof, Some("bmV3"));
    }
}
