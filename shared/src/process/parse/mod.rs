//! BPMN XML to the static model (spec-migration §1, §9.1).
//!
//! What the reference deploys is deployed, also what cannot run here: that is refused by name when a token arrives.
//! Hostile input costs bounded time and memory: no DTD, and bounds on size, nodes and depth. Ids of definitions, jobs
//! and deployments are not known here; the store fills them in.

mod activity;
mod bounds;
mod event;
mod extension;
mod flow;
mod report;
mod roots;
mod scope;
mod xml;

use std::collections::HashMap;

use roxmltree::{Document, Node, ParsingOptions};

pub use bounds::{MAX_ATTRIBUTES, MAX_NAMESPACES, MAX_XML_DEPTH};
pub use report::{ParseReport, Problem};

use super::definition::{Activity, ActivityIx, ActivityKind, JobDefinitionDeclaration, ProcessDefinition, ScopeRef};
use super::expression::Expression;
use roots::Roots;

/// A larger file is refused.
pub const MAX_XML_BYTES: usize = 10 * 1024 * 1024;
/// XML nodes (elements and texts) of a file.
pub const MAX_XML_NODES: u32 = 500_000;
/// Activities of one process: what is done for every scope and activity of a plan stays within seconds.
pub const MAX_ACTIVITIES: usize = 10_000;

/// Reads the executable processes of a BPMN file, in document order; none is no error.
///
/// # Errors
/// A [`ParseReport`] with every error found: XML that is none, a DTD, references to nothing, events without a definition.
pub fn parse(xml: &str) -> Result<Vec<ProcessDefinition>, ParseReport> {
    if xml.len() > MAX_XML_BYTES {
        return Err(ParseReport::of(format!("The file is larger than {MAX_XML_BYTES} bytes"), 0, 0));
    }
    if let Some((place, message)) = bounds::passed(xml) {
        let (line, column) = line_and_column(xml, place);
        return Err(ParseReport::of(message, line, column));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_XML_NODES, ..ParsingOptions::default() };
    let doc = Document::parse_with_options(xml, options).map_err(|e| {
        let place = e.pos();
        ParseReport::of(format!("The XML is not well-formed or not allowed: {e}"), place.row, place.col)
    })?;
    let root = doc.root_element();
    let mut report = ParseReport::default();
    if xml::tag(root) != "definitions" {
        let name = root.tag_name().name();
        report.error(format!("cvc-elt.1: Cannot find the declaration of element '{name}'."), root);
        return Err(report);
    }
    let roots = Roots::read(root, &mut report);
    let mut definitions = Vec::new();
    for process in xml::named(root, "process") {
        if xml::boolean(process.attribute("isExecutable"), false) {
            definitions.push(Builder::new(&roots, &mut report).process(process));
        }
    }
    if report.errors.is_empty() { Ok(definitions) } else { Err(report) }
}

/// Builds one definition. Activities are made in the order of spec-migration §1.4.
struct Builder<'r> {
    roots: &'r Roots,
    report: &'r mut ParseReport,
    definition: ProcessDefinition,
    /// Names of link events by the id of the throwing one, ids of the catching ones by name.
    link_sources: HashMap<String, String>,
    link_targets: HashMap<String, String>,
    /// Priority of external tasks, where they say none of their own.
    task_priority: Option<Expression>,
    /// Handlers of compensation: by the scope or activity that they undo.
    compensated: HashMap<ScopeRef, ActivityIx>,
}

impl<'r> Builder<'r> {
    fn new(roots: &'r Roots, report: &'r mut ParseReport) -> Self {
        Self {
            roots,
            report,
            definition: ProcessDefinition::default(),
            link_sources: HashMap::new(),
            link_targets: HashMap::new(),
            task_priority: None,
            compensated: HashMap::new(),
        }
    }

    fn process(mut self, node: Node<'_, '_>) -> ProcessDefinition {
        match xml::id(node) {
            Some(id) => self.definition.key = id.to_owned(),
            None => self.report.error("The process has no id. Give the element an attribute 'id'.", node),
        }
        self.definition.name = node.attribute("name").map(str::to_owned);
        self.definition.version_tag = xml::ext_text(node, "versionTag");
        self.definition.history_time_to_live = self.time_to_live(node);
        self.definition.startable_in_tasklist = xml::boolean(xml::ext(node, "isStartableInTasklist"), true);
        self.definition.job_priority = xml::ext_text(node, "jobPriority").map(Expression);
        let starters = |name| xml::ext(node, name).map(activity::split_list).unwrap_or_default();
        self.definition.candidate_starter_users = starters("candidateStarterUsers");
        self.definition.candidate_starter_groups = starters("candidateStarterGroups");
        self.task_priority = xml::ext_text(node, "taskPriority").map(Expression);
        self.definition.listeners = self.execution_listeners(node);
        self.scope(node, ScopeRef::Process);
        self.check_gateways(node);
        self.declare_jobs();
        self.definition.index();
        self.definition
    }

    /// Days: `30` or `P30D`.
    fn time_to_live(&mut self, node: Node<'_, '_>) -> Option<i32> {
        let text = xml::ext_text(node, "historyTimeToLive")?;
        let days = text.strip_prefix('P').and_then(|t| t.strip_suffix('D')).unwrap_or(&text);
        let days = days.parse::<i32>().ok().filter(|d| *d >= 0);
        if days.is_none() {
            let message = format!("Cannot parse historyTimeToLive: '{text}' is neither a number of days nor an ISO 8601 period of days");
            self.report.error(message, node);
        }
        days
    }

    /// Adds an activity to its flow scope; an id that is missing is reported and replaced by one that nobody can name.
    fn add(&mut self, node: Node<'_, '_>, kind: ActivityKind, type_name: &'static str, scope: ScopeRef) -> ActivityIx {
        let ix = self.definition.activities.len();
        let id = match xml::id(node) {
            Some(id) => id.to_owned(),
            None => {
                self.report.error(format!("The element '{}' has no id. Give it an attribute 'id'.", node.tag_name().name()), node);
                format!("#{ix}")
            }
        };
        if ix == MAX_ACTIVITIES {
            self.report.error(format!("The process has more than {MAX_ACTIVITIES} activities"), node);
        }
        let mut activity = Activity::new(id.clone(), kind, type_name, scope);
        activity.name = node.attribute("name").map(str::to_owned);
        self.definition.activities.push(activity);
        self.definition.by_id.insert(id, ix);
        self.children_mut(scope).push(ix);
        ix
    }

    fn children_mut(&mut self, scope: ScopeRef) -> &mut Vec<ActivityIx> {
        match scope {
            ScopeRef::Process => &mut self.definition.children,
            ScopeRef::Activity(ix) => &mut self.definition.activities[ix].children,
        }
    }

    fn at(&mut self, ix: ActivityIx) -> &mut Activity {
        &mut self.definition.activities[ix]
    }

    /// The activity of this id that is written directly in `scope` (a multi-instance body in between does not count).
    fn in_scope(&self, id: &str, scope: ScopeRef) -> Option<ActivityIx> {
        let ix = self.definition.find(id)?;
        let outer = self.definition.body_of(ix).unwrap_or(ix);
        (self.definition.activity(outer).flow_scope == scope).then_some(ix)
    }

    /// Job definitions, in the order of the activities (spec-migration §9.1).
    fn declare_jobs(&mut self) {
        let mut jobs = Vec::new();
        for activity in &self.definition.activities {
            let mut declare = |job_type, configuration: String| {
                jobs.push(JobDefinitionDeclaration { id: String::new(), activity_id: activity.id.clone(), job_type, configuration });
            };
            if activity.async_before {
                declare("async-continuation", "async-before".to_owned());
            }
            if activity.async_after {
                declare("async-continuation", "async-after".to_owned());
            }
            if let Some(super::definition::EventDefinition::Timer(timer)) = &activity.event {
                declare(event::timer_job_type(activity), event::timer_configuration(timer));
            }
            for timer in activity.timeout_listeners().filter_map(|l| l.timer.as_ref()) {
                declare("timer-task-listener", event::timer_configuration(timer));
            }
        }
        self.definition.job_definitions = jobs;
    }
}

fn line_and_column(text: &str, place: usize) -> (u32, u32) {
    let before = text.get(..place).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}
