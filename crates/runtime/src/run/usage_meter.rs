//! What one model call uses, and what its run has used with it.

use talkgraph_domain::{Cost, Run, RunError, RunErrorCode, Usage};
use talkgraph_llm::Price;

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};

/// A model call on its way.
pub(crate) struct Spending {
    /// What the run had used before it, and what that cost.
    before: Usage,
    cost_before: Option<Cost>,
    /// Of the model that answers, if it has one.
    price: Option<Price>,
    /// What it has used, once the provider has told.
    pub(crate) usage: Option<Usage>,
}

impl Spending {
    pub(crate) fn new(run: &Run) -> Self {
        Self {
            before: run.usage,
            cost_before: run.cost,
            price: None,
            usage: None,
        }
    }

    /// What the run had used before it.
    pub(crate) fn before(&self) -> Usage {
        self.before
    }

    /// A model answers that has this price. Until it reports its usage the cost of the run is
    /// unknown, and stays so if the answer breaks off or is cancelled before.
    pub(crate) fn at(&mut self, price: Option<Price>, run: &mut Run) {
        self.price = price;
        self.settle(run);
    }

    /// What it has cost, where that is known.
    pub(crate) fn cost(&self) -> Option<Cost> {
        let dollars = self.price?.of(&self.usage?);
        Some(Cost::from_dollars(dollars))
    }

    /// Counts in the run what the provider tells, in place of what it has told before.
    pub(crate) fn tell(&mut self, usage: Usage, run: &mut Run) {
        self.usage = Some(usage);
        run.usage = self.before.plus(usage);
        self.settle(run);
    }

    /// What the provider has reported is void: its last numbers are none.
    pub(crate) fn forget(&mut self, run: &mut Run) {
        self.usage = None;
        run.usage = self.before;
        self.settle(run);
    }

    /// Adds it to what the run has cost, known or not.
    pub(crate) fn settle(&self, run: &mut Run) {
        run.cost = Cost::sum(self.cost_before, self.cost());
    }
}

/// Whether the run may go on after a step, as far as its agent limits what it costs.
pub(crate) fn check_cost(ctx: &RunContext, task: &Assignment) -> Result<(), RunAbort> {
    let Some(most) = task.limits(ctx).max_cost_usd else {
        return Ok(());
    };
    let message = match ctx.run.cost {
        Some(cost) if cost < Cost::from_dollars(most) => return Ok(()),
        Some(cost) => format!("the run has cost {cost} USD; its agent allows {most}"),
        // Whoever sets a limit does not want it to be passed unseen.
        None => "what the run costs is not known, and its agent limits it".to_owned(),
    };
    Err(RunAbort::Failed(RunError {
        code: RunErrorCode::CostLimit,
        message,
        retryable: false,
    }))
}
