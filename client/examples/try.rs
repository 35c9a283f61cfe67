use client::*;
use std::time::Instant;
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
        .init();
    let broker = std::env::args().nth(1).unwrap_or("127.0.0.1:9592".into());
    let topic = std::env::args().nth(2).unwrap_or("t1".into());
    let n: usize = std::env::args().nth(3).unwrap_or("100000".into()).parse()?;
    let p = Producer::new(ProducerConfig::new(&broker))?;
    let t = Instant::now();
    let d = p
        .send(
            ProducerRecord::new(topic.as_str())
                .key("a")
                .value("b")
                .header(Header::new("h", "v")),
        )
        .await?
        .await?;
    println!("{d:?} {:?}", t.elapsed());
    let t = Instant::now();
    let mut v = vec![b'x'; 100];
    let mut ds = Vec::new();
    for i in 0..n {
        v[0..8].copy_from_slice(format!("{i:08}").as_bytes());
        ds.push(
            p.send(ProducerRecord::new(topic.as_str()).value(v.clone()))
                .await?,
        );
    }
    println!("queued {:?}", t.elapsed());
    p.flush().await?;
    println!(
        "flushed {:?} = {:.0}/s",
        t.elapsed(),
        n as f64 / t.elapsed().as_secs_f64()
    );
    let mut by: std::collections::BTreeMap<i32, i64> = Default::default();
    for d in ds {
        let d = d.await?;
        let last = by.entry(d.partition.partition).or_insert(-1);
        assert!(d.offset > *last);
        *last = d.offset;
    }
    println!("{by:?}");
    p.close().await?;
    Ok(())
}
