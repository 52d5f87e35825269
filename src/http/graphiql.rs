//! Embedded GraphiQL, built from `web/` and served without any other host.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::Server;

const MANIFEST: &str = include_str!("../../web/dist/manifest.json");
const CONTENT_SECURITY_POLICY: &str = include_str!("../../web/dist/csp.txt");

/// Returns a file that the manifest names.
fn file(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        "index.html" => include_bytes!("../../web/dist/index.html"),
        "app.js.gz" => include_bytes!("../../web/dist/app.js.gz"),
        "app.css.gz" => include_bytes!("../../web/dist/app.css.gz"),
        "worker.js.gz" => include_bytes!("../../web/dist/worker.js.gz"),
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Manifest {
    assets: Vec<Asset>,
}

#[derive(Deserialize)]
struct Asset {
    path: String,
    content_type: String,
    content_encoding: Option<String>,
    file: String,
    sha256: String,
}

pub(super) fn routes() -> Router<Arc<Server>> {
    let manifest: Manifest = match serde_json::from_str(MANIFEST) {
        Ok(manifest) => manifest,
        Err(error) => {
            tracing::error!(%error, "failed to read the GraphiQL manifest; GraphiQL is disabled");
            return Router::new();
        }
    };
    let mut router = Router::new();
    for asset in manifest.assets {
        let Some((content, headers)) = file(&asset.file).zip(headers(&asset)) else {
            tracing::error!(file = asset.file, "GraphiQL file not found");
            continue;
        };
        let serve = async move |asked: HeaderMap| respond(&asked, headers, content);
        router = router.route(&asset.path, get(serve));
    }
    router
}

fn headers(asset: &Asset) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, asset.content_type.parse().ok()?);
    if let Some(encoding) = &asset.content_encoding {
        headers.insert(header::CONTENT_ENCODING, encoding.parse().ok()?);
    }
    headers.insert(header::ETAG, format!("\"{}\"", asset.sha256).parse().ok()?);
    // Revalidated each time, and then found unchanged.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    Some(headers)
}

fn respond(asked: &HeaderMap, headers: HeaderMap, content: &'static [u8]) -> Response {
    if asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| Some(known) == headers.get(header::ETAG))
    {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Bytes::from_static(content)).into_response()
}
