//! An apply that is killed is finished by the next one.

use crate::operator::{Operator, SHIPPED};
use anyhow::{Result, ensure};

#[tokio::test]
async fn an_apply_that_is_killed_at_any_write_is_finished_by_the_next() -> Result<()> {
    for writes in [0, 1, 4, 5, 9, 13, 17, 18, 20, 22, 24, 25, 26] {
        let operator = Operator::new().await?;
        operator.run_and_kill(&["apply", "--test"], writes).await?;
        operator.apply().await?;
        ensure!(
            operator.census() == SHIPPED,
            "killed after {writes} writes: {:?}",
            operator.census()
        );
        operator.settled().await?;
    }
    Ok(())
}
