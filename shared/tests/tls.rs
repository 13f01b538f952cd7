//! TLS to the broker and to the database: with an authority of one's own, and refused where it does not vouch for them.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use shared::config::Settings;
use shared::queue::{AmqpBounds, AmqpQueue, Queue, QueueName};
use shared::service::chain;
use shared::store::sql::{Schema, StoreOptions, migrate_schema, open_sql};
use shared::store::{Error, Store};
use shared::testing::broker::{BrokerCertificate, PrivateBroker};
use shared::testing::queue_suite::{consumer, next, number, publish, until, wake};

/// In every URL here; in no error.
const PASSWORD: &str = "m4rked-s3cret";

/// An authority, and what it vouches for: a server named `localhost`, and nothing else.
struct Authority {
    pem: String,
    server: BrokerCertificate,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    Authority { pem, server: BrokerCertificate { certificate: server.pem(), key: key.serialize_pem() } }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_reached_with_tls_and_only_if_its_certificate_is_vouched_for() {
    let (ours, other) = (authority("ours"), authority("another"));
    let broker = PrivateBroker::start_with(Some(&ours.server)).await.unwrap();
    let open = |host: &str, authority: Option<&Authority>, password: &str| {
        let bounds = AmqpBounds::from(&Settings::defaults());
        AmqpQueue::open_trusting(&broker.tls_url(host, password), authority.map(|a| a.pem.clone()), &bounds)
    };

    let queue = open("localhost", Some(&ours), "guest");
    until("the broker is reached", || std::future::ready(queue.ready())).await;
    let mut exec = consumer(&queue, QueueName::Exec, 5).await;
    publish(&queue, &[wake(7)]).await;
    let delivery = next(&mut *exec).await;
    assert_eq!(number(&*delivery), 7);
    assert!(delivery.ack().await);
    drop(exec);
    queue.close().await;

    for (host, authority, says) in [
        ("localhost", Some(&other), "UnknownIssuer"),
        ("localhost", None, "UnknownIssuer"),
        ("127.0.0.1", Some(&ours), "not valid for name"),
    ] {
        let queue = open(host, authority, PASSWORD);
        let error = queue.publish(&[wake(1)]).await.remove(0).unwrap_err().to_string();
        assert!(error.contains("certificate") && error.contains(says) && !error.contains(PASSWORD), "{error}");
        assert!(!queue.ready());
        queue.close().await;
    }
}

/// A PostgreSQL of this test alone, with TLS; stopped when dropped.
struct Database {
    folder: tempfile::TempDir,
    port: u16,
}

const START: &str = r#"
. "$1/scripts/servers.sh"; data=$2/pg; port=$(free_port)
PG_FAST=1 pg_start "$data" "$port" || exit 1
for file in cert.pem key.pem; do as_postgres tee "$data/$file" <"$2/$file" >/dev/null && as_postgres chmod 600 "$data/$file"; done
printf "ssl = on\nssl_cert_file = 'cert.pem'\nssl_key_file = 'key.pem'\n" | as_postgres tee -a "$data/postgresql.conf" >/dev/null
as_postgres "$PG_BIN/pg_ctl" -D "$data" reload >/dev/null && echo "$port"
"#;
const STOP: &str = r#". "$1/scripts/servers.sh"; pg_stop "$2/pg"; rm -rf "$2/pg""#;

fn bash(script: &str, folder: &Path) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("bash").args(["-c", script, "bash"]).arg(repository).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Database {
    fn start(certificate: &BrokerCertificate) -> Self {
        use std::os::unix::fs::PermissionsExt;
        // The server's own user must reach it.
        let folder = tempfile::Builder::new().prefix("drover-tls-").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("cert.pem"), &certificate.certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), &certificate.key).unwrap();
        let port = bash(START, folder.path()).parse().unwrap();
        Self { folder, port }
    }

    fn authority(&self, name: &str, authority: &Authority) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, &authority.pem).unwrap();
        path
    }

    fn url(&self, host: &str, mode: &str, authority: Option<&Path>) -> String {
        let root = authority.map(|path| format!("&sslrootcert={}", path.display())).unwrap_or_default();
        format!("postgres://drover:{PASSWORD}@{host}:{}/drover?sslmode={mode}{root}", self.port)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        bash(STOP, self.folder.path());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_reached_with_tls_and_only_if_its_certificate_is_vouched_for() {
    let (ours, other) = (authority("ours"), authority("another"));
    let database = Database::start(&ours.server);
    let (trusted, untrusted) = (database.authority("ours.pem", &ours), database.authority("other.pem", &other));
    let full = database.url("localhost", "verify-full", Some(&trusted));
    until("PostgreSQL speaks TLS", || async { migrate_schema(&full).await.is_ok() }).await;

    for url in [full, database.url("127.0.0.1", "verify-ca", Some(&trusted)), database.url("127.0.0.1", "require", None)] {
        let store = open_sql(&url, StoreOptions { schema: Schema::Require, ..StoreOptions::default() }).await.unwrap();
        store.ready().await.unwrap();
        store.close().await;
    }
    for (url, says) in [
        (database.url("localhost", "verify-full", Some(&untrusted)), "UnknownIssuer"),
        (database.url("localhost", "verify-full", None), "UnknownIssuer"),
        (database.url("127.0.0.1", "verify-ca", Some(&untrusted)), "UnknownIssuer"),
        (database.url("127.0.0.1", "verify-full", Some(&trusted)), "not valid for name"),
    ] {
        let error = open_sql(&url, StoreOptions::default()).await.err().unwrap();
        assert!(matches!(error, Error::Unavailable { .. }), "certificates are exchanged while a process waits: {error:?}");
        let text = chain(&error);
        assert!(text.contains("certificate") && text.contains(says) && !text.contains(PASSWORD), "{text}");
    }
}
