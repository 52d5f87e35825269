//! The usage of one model call, and its share in the usage of the run.

use talkgraph_domain::{Cost, Run, RunError, RunErrorCode, Usage};
use talkgraph_llm::Price;

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};

/// The usage of one model call.
pub(crate) struct UsageMeter {
    /// The usage and the cost of the run before the call.
    before: Usage,
    cost_before: Option<Cost>,
    /// The price of the model that answers, if known.
    price: Option<Price>,
    /// The usage that the provider has reported.
    pub(crate) usage: Option<Usage>,
}

impl UsageMeter {
    pub(crate) fn new(run: &Run) -> Self {
        Self {
            before: run.usage,
            cost_before: run.cost,
            price: None,
            usage: None,
        }
    }

    /// The usage of the run before the call.
    pub(crate) fn before(&self) -> Usage {
        self.before
    }

    /// Sets the price of the model that answers. The cost of the run is unknown until the provider
    /// reports usage, and stays unknown if the call ends before.
    pub(crate) fn set_price(&mut self, price: Option<Price>, run: &mut Run) {
        self.price = price;
        self.update_cost(run);
    }

    /// The cost of the call, if known.
    pub(crate) fn cost(&self) -> Option<Cost> {
        let dollars = self.price?.of(&self.usage?);
        Some(Cost::from_dollars(dollars))
    }

    /// Records usage that the provider reports; it replaces earlier reports.
    pub(crate) fn report(&mut self, usage: Usage, run: &mut Run) {
        self.usage = Some(usage);
        run.usage = self.before.plus(usage);
        self.update_cost(run);
    }

    /// Discards the usage that the provider has reported: it is not valid.
    pub(crate) fn discard(&mut self, run: &mut Run) {
        self.usage = None;
        run.usage = self.before;
        self.update_cost(run);
    }

    /// Adds the cost of the call to the run; unknown if the call's is.
    pub(crate) fn update_cost(&self, run: &mut Run) {
        run.cost = Cost::sum(self.cost_before, self.cost());
    }
}

/// Checks that the run may continue within its agent's cost limit.
pub(crate) fn check_cost(ctx: &RunContext, task: &Assignment) -> Result<(), RunAbort> {
    let Some(most) = task.limits(ctx).max_cost_usd else {
        return Ok(());
    };
    let message = match ctx.run.cost {
        Some(cost) if cost < Cost::from_dollars(most) => return Ok(()),
        Some(cost) => format!("the run has cost {cost} USD; its agent allows {most}"),
        // An unknown cost could pass the limit unseen.
        None => "what the run costs is not known, and its agent limits it".to_owned(),
    };
    Err(RunAbort::Failed(RunError {
        code: RunErrorCode::CostLimit,
        message,
        retryable: false,
    }))
}
