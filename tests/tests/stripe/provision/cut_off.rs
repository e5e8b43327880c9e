//! An apply that is killed is finished by the next one.

use super::operator::{Operator, SHIPPED, WRITES};
use anyhow::{Result, ensure};
use std::ops::Range;

#[tokio::test]
async fn an_apply_that_is_killed_at_any_write_is_finished_by_the_next() -> Result<()> {
    // Side by side, since most of the time each waits for its turn to ask.
    let killed = async |writes: Range<usize>| {
        for writes in writes {
            let operator = Operator::new().await?;
            operator.run_and_kill(&["apply", "--test"], writes).await?;
            operator.apply().await?;
            ensure!(
                operator.census() == SHIPPED,
                "killed after {writes} writes: {:?}",
                operator.census()
            );
            operator.stays().await?;
        }
        anyhow::Ok(())
    };
    let half = WRITES / 2;
    tokio::try_join!(killed(0..half), killed(half..WRITES))?;
    Ok(())
}
