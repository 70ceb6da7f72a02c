//! Stores on buckets of services that speak the protocols, which `tests/sdk/buckets.py` starts; and on none at all.

use futures_util::{TryStreamExt, future::join_all};
use object_store::{ObjectStoreExt, path::Path};
use tokio::{net::TcpListener, time::timeout};

use super::*;
use crate::payload::{Payload, reference::Reference};

/// The bucket that each service has.
const BUCKET: &str = "tradewind";

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn a_payload_comes_back() {
    for store in stores() {
        let reference = store.write(&payload("ahoy")).await.unwrap();
        assert_eq!(store.read(&reference).await.unwrap(), payload("ahoy"), "{store}");
    }
}

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn equal_payloads_share_an_object() {
    for store in stores() {
        let twins = [store.write(&payload("twins")).await.unwrap(), store.write(&payload("twins")).await.unwrap()];
        assert_eq!(twins[0], twins[1], "{store}");
        // Google's emulator does not list.
        if store.driver != GCS_DRIVER {
            let objects: Vec<_> = store.objects.list(None).try_collect().await.unwrap();
            let key = path(&twins[0]);
            assert_eq!(objects.iter().filter(|object| object.location == key).count(), 1, "{store}");
        }
    }
}

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn an_object_that_is_not_there_is_named() {
    for store in stores() {
        let written = store.write(&payload("here")).await.unwrap();
        let reference = Reference { key: "v0/d/sha256/gone".into(), ..written };
        let gone = store.read(&reference).await.unwrap_err();
        assert!(matches!(gone, Error::MissingObject { .. }), "{gone}");
        let said = format!("object \"v0/d/sha256/gone\" of external storage {store} does not exist");
        assert_eq!(gone.to_string(), said);
    }
}

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn an_object_that_was_changed_is_refused() {
    for store in stores() {
        let reference = store.write(&payload("changed")).await.unwrap();
        store.objects.put(&path(&reference), "other bytes".into()).await.unwrap();
        let changed = store.read(&reference).await.unwrap_err();
        assert!(matches!(changed, Error::ChangedObject { .. }), "{changed}");
    }
}

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn a_bucket_that_is_not_there_is_named() {
    for (store, here) in
        [Store::s3("nowhere"), Store::gcs("nowhere"), Store::azure("nowhere")].into_iter().zip(stores())
    {
        let store = store.unwrap();
        let said = format!("external storage {store} does not exist at the endpoint that is configured");
        assert_eq!(store.write(&payload("lost")).await.unwrap_err().to_string(), said);
        // Google's emulator does not say what is missing.
        if store.driver != GCS_DRIVER {
            let reference = here.write(&payload("lost")).await.unwrap();
            assert_eq!(store.read(&reference).await.unwrap_err().to_string(), said);
        }
    }
}

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn a_wrong_key_is_refused_at_once() {
    let s3 = Store::s3_of(BUCKET.into(), &changed("AWS_SECRET_ACCESS_KEY", "guessed")).unwrap();
    let azure = Store::azure_of(BUCKET.into(), &changed("AZURE_STORAGE_ACCOUNT_KEY", "Z3Vlc3NlZA==")).unwrap();
    for store in [s3, azure] {
        let refused = store.write(&payload("secret")).await.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("external storage {store} could not write object \"v0/d/")), "{refused}");
        assert!(refused.contains("403 Forbidden"), "{refused}");
        assert!(!refused.contains("retries"), "{refused}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_an_error_soon() {
    let closed = closed().await;
    let nowhere = [
        Store::s3_of(BUCKET.into(), &s3_at(&closed)),
        Store::gcs_of(BUCKET.into(), &only(&[("STORAGE_EMULATOR_HOST", &closed)])),
        Store::azure_of(BUCKET.into(), &azure_at(&closed)),
        // Nobody to ask for keys either.
        Store::s3_of(BUCKET.into(), &only(&[("AWS_METADATA_ENDPOINT", &closed)])),
    ];
    join_all(nowhere.map(async |store| {
        let store = store.unwrap();
        let failed = soon(store.write(&payload("lost"))).await;
        assert!(failed.starts_with(&format!("external storage {store} could not write object \"v0/d/")), "{failed}");
        assert!(failed.contains(&closed) && failed.contains("Connection refused"), "{failed}");
    }))
    .await;
}

#[tokio::test]
async fn a_service_that_says_nothing_is_an_error_after_the_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut variables = s3_at(&endpoint);
    variables.push(("AWS_TIMEOUT".into(), "5 seconds".into()));
    let store = Store::s3_of(BUCKET.into(), &variables).unwrap();
    let failed = soon(store.write(&payload("lost"))).await;
    assert!(failed.contains(&endpoint), "{failed}");
}

#[test]
fn half_a_configuration_is_refused_when_the_bucket_is_opened() {
    let half = [
        Store::s3_of(BUCKET.into(), &only(&[("AWS_ACCESS_KEY_ID", "who")])),
        Store::gcs_of(BUCKET.into(), &only(&[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")])),
        Store::azure_of(BUCKET.into(), &only(&[])),
    ];
    let said = half.map(|store| store.unwrap_err().to_string());
    for (said, kind) in said.iter().zip(["S3 bucket", "GCS bucket", "Azure container"]) {
        assert!(said.starts_with(&format!("external storage {kind} tradewind cannot be opened: ")), "{said}");
    }
}

/// One bucket of each cloud, as the environment says.
#[track_caller]
fn stores() -> [Store; 3] {
    [Store::s3(BUCKET), Store::gcs(BUCKET), Store::azure(BUCKET)].map(Result::unwrap)
}

fn payload(text: &str) -> Payload {
    Payload { data: text.repeat(10_000).into(), ..Payload::default() }
}

fn path(reference: &Reference) -> Path {
    Path::from(reference.key.as_str())
}

/// The environment with one variable changed.
fn changed(name: &str, value: &str) -> Vec<(String, String)> {
    let mut variables = variables();
    variables.retain(|(other, _)| other != name);
    variables.push((name.into(), value.into()));
    variables
}

/// An environment without anything else.
fn only(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

fn s3_at(endpoint: &str) -> Vec<(String, String)> {
    let keys = [("AWS_ACCESS_KEY_ID", "who"), ("AWS_SECRET_ACCESS_KEY", "what")];
    only(&[("AWS_ENDPOINT_URL_S3", endpoint), keys[0], keys[1]])
}

fn azure_at(endpoint: &str) -> Vec<(String, String)> {
    let account = [("AZURE_STORAGE_ACCOUNT_NAME", "who"), ("AZURE_STORAGE_ACCOUNT_KEY", "d2hhdA==")];
    only(&[("AZURE_STORAGE_ENDPOINT", endpoint), account[0], account[1]])
}

/// Where nobody listens.
async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// What an attempt fails with, which must not take the minutes that `object_store` would take by itself.
async fn soon<T: std::fmt::Debug>(attempt: impl Future<Output = Result<T, Error>>) -> String {
    let done = timeout(Duration::from_secs(60), attempt).await.expect("it does not try for minutes");
    done.unwrap_err().to_string()
}
