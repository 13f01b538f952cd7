use clap::{CommandFactory, Parser};

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
    Program::try_parse_from([&["program"], arguments].concat()).map(|program| program.settings)
}

#[test]
fn every_setting_has_a_variable_of_its_own_name() {
    for argument in Program::command().get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
        let flag = argument.get_long().expect("every setting is a flag");
        let variable = argument.get_env().and_then(|v| v.to_str()).expect("every setting has a variable");
        assert_eq!(variable, flag.to_uppercase().replace('-', "_"));
        assert!(argument.get_help().is_some() || argument.is_hide_set(), "{flag} has no help");
    }
}

#[test]
fn the_defaults_are_the_reference_engines() {
    let settings = Settings::defaults();
    assert_eq!((settings.batch_jobs_per_seed, settings.invocations_per_batch_job), (100, 1));
    assert_eq!((settings.batch_poll_time, settings.default_number_of_retries), (Duration::from_secs(30), 3));
    assert_eq!(settings.history_level, HistoryLevel::Full);
}

#[test]
fn invocations_per_batch_job_can_differ_by_type_and_are_bounded() {
    let by_type = "--invocations-per-batch-job-by-type=instance-migration=10,set-job-retries=100";
    let settings = parse(&["--invocations-per-batch-job=7", by_type]).unwrap();
    assert_eq!(settings.invocations_for(BatchType::ProcessInstanceMigration), 10);
    assert_eq!(settings.invocations_for(BatchType::SetJobRetries), 100);
    for refused in ["10001", "0"] {
        assert!(parse(&["--invocations-per-batch-job", refused]).is_err());
        assert!(parse(&["--invocations-per-batch-job-by-type", &format!("set-job-retries={refused}")]).is_err());
    }
    assert!(parse(&["--invocations-per-batch-job-by-type", "nonsense=1"]).is_err());
}

#[test]
fn a_password_is_never_shown_and_never_taken_from_the_command_line() {
    let url = SecretUrl::new("amqp://drover:s3cr/et@broker:5672/%2f?heartbeat=4");
    assert!(!format!("{url} {url:?}").contains("s3cr"), "{url}");
    let url = SecretUrl::new("postgres://u:s3cret@db/x?password=s3cret");
    assert_eq!(format!("{url}"), "postgres://db/x");
    assert_eq!(format!("{} {}", SecretUrl::new("s3cret"), SecretUrl::new("sqlite:a/b.db?key=s3cret")), "(not a URL) sqlite:a/b.db");
    for refused in ["--database-url=postgres://u:pw@db/x", "amqp://u:p/w@host", "postgres://db/x?user=u&password=pw"] {
        let error = refuse_passwords_in_arguments(["drover".to_owned(), refused.to_owned()]).unwrap_err().to_string();
        assert!(error.contains("_FILE") && !error.contains("pw") && !error.contains("p/w"), "{error}");
    }
    for refused in ["--auth-users=ann s3cret", "--auth-users"] {
        let error = refuse_passwords_in_arguments([refused.to_owned()]).unwrap_err().to_string();
        assert!(error.contains("AUTH_FILE") && !error.contains("s3cret"), "{error}");
    }
    let fine = ["serve", "--amqp-url=amqp://guest@host:5672/%2f", "--listen-addr=127.0.0.1:80", "http://host:8080/x"].map(str::to_owned);
    refuse_passwords_in_arguments(fine).unwrap();
}

#[test]
fn secrets_come_from_files_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "postgres://u:pw@db/x\n").unwrap();
    let path = file.path().to_str().unwrap();
    let settings = Settings { database_url_file: Some(path.into()), ..Settings::defaults() }.resolve().unwrap();
    assert_eq!(settings.database(), "postgres://u:pw@db/x");
    let both = Settings { database_url: Some(SecretUrl::new("sqlite:x")), database_url_file: Some(path.into()), ..Settings::defaults() };
    assert!(both.resolve().unwrap_err().to_string().contains("both set"));
    let missing = Settings { amqp_url_file: Some("/nowhere/at/all".into()), ..Settings::defaults() };
    assert!(format!("{:#}", missing.resolve().unwrap_err()).contains("AMQP_URL_FILE"));
}

#[test]
fn a_role_of_a_fleet_needs_what_can_be_shared() {
    let alone = Settings::defaults();
    assert!(alone.require_fleet("exec-worker").unwrap_err().to_string().contains("DATABASE_URL"));
    let sqlite = Settings { database_url: Some(SecretUrl::new("sqlite:x.db")), ..alone.clone() };
    assert!(sqlite.require_fleet("exec-worker").unwrap_err().to_string().contains("SQLite"));
    let no_broker = Settings { database_url: Some(SecretUrl::new("postgres://db/x")), ..alone };
    assert!(no_broker.require_fleet("exec-worker").unwrap_err().to_string().contains("AMQP_URL"));
    let rabbit = Settings { rabbitmq_url: Some(SecretUrl::new("amqp://host")), ..no_broker }.resolve().unwrap();
    rabbit.require_fleet("exec-worker").unwrap();
}

#[test]
fn what_is_not_supported_yet_is_refused() {
    let settings = Settings { drover_engine: Some(SecretUrl::new("http://host/engine-rest")), ..Settings::defaults() };
    assert!(settings.resolve().unwrap_err().to_string().contains("not supported yet"));
    let settings = Settings { history_level: HistoryLevel::Activity, ..Settings::defaults() };
    assert!(settings.resolve().unwrap_err().to_string().contains("only full is supported yet"));
}

#[test]
fn times_have_units() {
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    for wrong in ["", "s", "1d", "-1s", "99999h"] {
        assert!(parse_duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_broker_url_that_cannot_work_is_refused_with_a_reason() {
    for (url, reason) in [("http://user:s3cret@broker", "amqps://"), ("rabbit", "amqp://")] {
        let settings = Settings { amqp_url: Some(SecretUrl::new(url)), ..Settings::defaults() };
        let error = settings.resolve().unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn authorities_of_one_s_own_are_read_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let broker =
        |url: &str| Settings { amqp_url: Some(SecretUrl::new(url)), amqp_ca_file: Some(path.clone().into()), ..Settings::defaults() };
    let database = |path: &str| Settings {
        database_url: Some(SecretUrl::new(format!("postgres://u:s3cret@db/x?sslmode=verify-full&sslrootcert={path}"))),
        ..Settings::defaults()
    };
    for (settings, says) in [
        (broker("amqps://host"), "holds no PEM certificate"),
        (broker("amqp://host"), "begin it with amqps://"),
        (database(&path), "holds no PEM certificate"),
        (database("%2Fnowhere"), "failed to open /nowhere (sslrootcert of DATABASE_URL)"),
    ] {
        let error = format!("{:#}", settings.resolve().unwrap_err());
        assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
    }
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----").unwrap();
    assert!(broker("amqps://host").resolve().unwrap().amqp_ca.is_some());
    database(&path).resolve().unwrap();
}

#[test]
fn users_of_the_api_come_from_a_file_or_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "ann hash").unwrap();
    let of_file = Settings { auth_file: Some(file.path().into()), ..Settings::defaults() };
    assert_eq!(of_file.users().unwrap().as_deref(), Some("ann hash"));
    let both = Settings { auth_users: Some(Secret::new("bob s3cret")), ..of_file };
    assert!(both.users().unwrap_err().to_string().contains("both set"));
    let of_variable = Settings { auth_file: None, ..both };
    assert_eq!(of_variable.users().unwrap().as_deref(), Some("bob s3cret"));
    assert!(!format!("{of_variable:?}").contains("s3cret"));
    assert_eq!(Settings { auth_users: Some(Secret::new(" ")), ..Settings::defaults() }.users().unwrap(), None);
}
