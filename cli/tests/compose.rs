//! `docker-compose.yml` describes the fleet: what must hold of it is read from it, since no engine runs in the tests.

use yaml_rust2::{Yaml, YamlLoader};

const ROLES: [&str; 4] = ["api", "seed-worker", "exec-worker", "monitor-worker"];

fn compose() -> Yaml {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let text = std::fs::read_to_string(path).expect("docker-compose.yml is there");
    YamlLoader::load_from_str(&text).expect("it is YAML").remove(0)
}

/// A field of a service: its own, or what it takes over with `<<`.
fn field<'a>(service: &'a Yaml, name: &str) -> &'a Yaml {
    let own = &service[name];
    if own.is_badvalue() { &service["<<"][name] } else { own }
}

#[test]
fn every_role_waits_for_its_servers_and_is_asked_whether_it_is_ready() {
    let compose = compose();
    assert!(compose["version"].is_badvalue(), "`version` is obsolete");
    for role in ROLES {
        let service = &compose["services"][role];
        assert_eq!(field(service, "command")[0].as_str(), Some(role), "the binary of {role}");
        assert_eq!(field(service, "healthcheck")["test"][2].as_str(), Some("healthcheck"), "{role}");
        for server in ["postgres", "rabbitmq"] {
            assert_eq!(field(service, "depends_on")[server]["condition"].as_str(), Some("service_healthy"), "{role} and {server}");
        }
        let schema = &field(service, "depends_on")["schema"]["condition"];
        assert_eq!(schema.as_str(), Some("service_completed_successfully"), "{role} refuses a schema that it does not know");
        assert_eq!(field(service, "stop_grace_period").as_str(), Some("30s"), "{role}: longer than SHUTDOWN_GRACE");
        let environment = field(service, "environment");
        let database =
            if environment["DATABASE_URL"].is_badvalue() { &environment["<<"]["DATABASE_URL"] } else { &environment["DATABASE_URL"] };
        assert!(database.as_str().is_some_and(|url| url.starts_with("postgres://")), "{role}");
    }
    for server in ["postgres", "rabbitmq"] {
        assert!(compose["services"][server]["healthcheck"]["test"].is_array(), "{server}");
    }
}

#[test]
fn workers_can_be_scaled() {
    let compose = compose();
    for (name, service) in compose["services"].as_hash().expect("there are services") {
        let name = name.as_str().expect("a service has a name");
        assert!(field(service, "container_name").is_badvalue(), "{name}: a name can be had once");
        if name != "api" {
            assert!(field(service, "ports").is_badvalue(), "{name}: a port of the host can be had once");
        }
    }
}

#[test]
fn the_schema_is_migrated_first_and_the_api_is_published_on_loopback_alone() {
    let compose = compose();
    let schema = &compose["services"]["schema"];
    let command: Vec<_> = schema["command"].as_vec().expect("a command").iter().filter_map(Yaml::as_str).collect();
    assert_eq!(command, ["drover", "schema", "migrate"]);
    let ports = &field(&compose["services"]["api"], "ports")[0];
    assert!(ports.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "nobody has to log in there: {ports:?}");
}
