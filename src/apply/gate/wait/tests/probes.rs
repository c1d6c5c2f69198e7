//! What each kind of probe asks, and what becomes of its answers.

use super::*;
use crate::engine::sim::Reply;
use crate::model::desired::{ExecProbe, Pattern};

fn command(words: &[&str]) -> Vec<Text> {
    words.iter().map(|word| Text::plain(*word)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_address_of_the_container_is_asked() {
    let (sim, id) = started(Behaviour::default(), None).await;
    let prober = Answers { statuses: vec![503, 503, 200], ..Answers::default() };
    let gate = asking(vec![Probe::Http(HttpProbe::get(8000, "/health"))]);
    let (ended, took) = waited_with(&sim, &id, &gate, &prober).await;
    assert_eq!(ended, Waited::Passed);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(prober.asked(), ["GET 172.18.0.7:8000/health"; 3]);
    let prober = Answers { refusing: [5432].into(), ..Answers::default() };
    let (ended, took) = waited_with(&sim, &id, &asking(vec![Probe::Tcp(5432)]), &prober).await;
    let Waited::Failed(failure) = ended else { panic!("{ended:?}") };
    assert_eq!(failure.to_string(), "still waiting for port 5432 after 20 s, at last: refused");
    assert!(took < Duration::from_secs(21), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_an_address_the_gate_fails_and_says_so() {
    let (sim, id) = started(Behaviour::default(), None).await;
    let network = sim.list_networks().await.unwrap().remove(0);
    sim.disconnect_network(&network.id, &id).await.unwrap();
    let (ended, _) = waited(&sim, &id, &asking(vec![Probe::Tcp(8000)])).await;
    assert_eq!(ended, Waited::Failed(GateFailure::NoAddress { port: 8000 }));
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_only_so_far() {
    let (sim, id) = started(Behaviour::default(), None).await;
    let location = vec![("location".to_owned(), "/login".to_owned())];
    let prober = |statuses| Answers { statuses, headers: location.clone(), ..Answers::default() };
    let mut probe = HttpProbe::get(80, "/");
    let gate = |probe: &HttpProbe| asking(vec![Probe::Http(probe.clone())]);
    let answers = prober(vec![302, 200]);
    probe.redirects = 1;
    assert_eq!(waited_with(&sim, &id, &gate(&probe), &answers).await.0, Waited::Passed);
    assert_eq!(answers.asked(), ["GET 172.18.0.7:80/", "GET 172.18.0.7:80/login"]);
    let (ended, _) = waited_with(&sim, &id, &gate(&probe), &prober(vec![302])).await;
    assert!(
        matches!(&ended, Waited::Failed(failure) if failure.to_string().ends_with("status 302, not 200"))
    );
    probe.redirects = 0;
    probe.status = vec!["302".parse().unwrap()];
    assert_eq!(waited_with(&sim, &id, &gate(&probe), &prober(vec![302])).await.0, Waited::Passed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_none() {
    let (sim, id) = started(Behaviour::default(), None).await;
    let prober = Answers { takes: Duration::from_millis(600), ..Answers::default() };
    let mut probe = HttpProbe::get(80, "/");
    probe.within = Some(Duration::from_millis(500));
    let (ended, _) = waited_with(&sim, &id, &asking(vec![Probe::Http(probe.clone())]), &prober).await;
    let Waited::Failed(failure) = ended else { panic!("{ended:?}") };
    assert!(failure.to_string().ends_with("at last: no answer within 500 ms"), "{failure}");
    probe.within = Some(Duration::from_millis(700));
    assert_eq!(waited_with(&sim, &id, &asking(vec![Probe::Http(probe)]), &prober).await.0, Waited::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_command_must_end_well() {
    let replies = [
        (vec!["good".to_owned()], Reply::default()),
        (
            vec!["bad".to_owned()],
            Reply { code: 1, output: "no master\nfor hunter22".into(), ..Reply::default() },
        ),
        (vec!["slow".to_owned()], Reply { takes: Duration::from_secs(9), ..Reply::default() }),
    ];
    let (sim, id) = started(Behaviour { commands: replies.into(), ..Behaviour::default() }, None).await;
    let exec =
        |word: &str, within| asking(vec![Probe::Exec(ExecProbe { command: command(&[word]), within })]);
    assert_eq!(waited(&sim, &id, &exec("good", None)).await.0, Waited::Passed);
    for (word, why) in [
        ("bad", "exit status 1: no master for (sensitive)"),
        ("slow", "no end within 5 s"),
        ("unknown", "exit status 127: no such executable in the simulated container"),
    ] {
        let (ended, _) = waited(&sim, &id, &exec(word, None)).await;
        let Waited::Failed(failure) = ended else { panic!("{ended:?}") };
        let text = format!("still waiting for the command {word} after 20 s, at last: {why}");
        assert_eq!(failure.to_string(), text);
    }
    assert_eq!(waited(&sim, &id, &exec("slow", Some(Duration::from_secs(9)))).await.0, Waited::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_log_line_opens_the_gate_as_soon_as_it_is_written() {
    let line = |text: &str| Probe::Log(LogProbe::Line(text.into()));
    let pattern = Probe::Log(LogProbe::Pattern(Pattern::new(r"port \d+$".into()).unwrap()));
    let ready_at = Duration::from_secs(7);
    let behaviour = Behaviour {
        writes: vec!["starting".to_owned()],
        writes_later: vec![(ready_at, "listening on port 8080".to_owned())],
        ..Behaviour::default()
    };
    let (sim, id) = started(behaviour, None).await;
    let gate = asking(vec![line("starting"), line("listening"), pattern]);
    let (ended, took) = waited(&sim, &id, &gate).await;
    assert_eq!(ended, Waited::Passed);
    assert!(ready_at <= took && took < ready_at + Duration::from_millis(100), "{took:?}");
    let (ended, took) = waited(&sim, &id, &asking(vec![line("nothing of this")])).await;
    let Waited::Failed(failure) = ended else { panic!("{ended:?}") };
    assert_eq!(failure.to_string(), "still waiting for the log line `nothing of this` after 20 s");
    assert!(took < Duration::from_secs(21), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_wrote_counts_no_more() {
    let behaviour = Behaviour { writes: vec!["ready".to_owned()], ..Behaviour::default() };
    let (sim, id) = started(behaviour, None).await;
    sim.stop_container(&id, None).await.unwrap();
    sim.change_behaviour(&"app".parse().unwrap(), Behaviour::default());
    sim.start_container(&id).await.unwrap();
    let gate = asking(vec![Probe::Log(LogProbe::Line("ready".into()))]);
    let (ended, _) = waited(&sim, &id, &gate).await;
    assert!(matches!(ended, Waited::Failed(GateFailure::Deadline { .. })), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_does_not_hide_the_end_of_its_container() {
    let behaviour = Behaviour {
        exits: Some((Duration::from_secs(1), 3)),
        commands: [(vec!["slow".to_owned()], Reply { takes: Duration::from_secs(60), ..Reply::default() })]
            .into(),
        ..Behaviour::default()
    };
    let (sim, id) = started(behaviour, None).await;
    let within = Some(Duration::from_secs(60));
    let gate = asking(vec![Probe::Exec(ExecProbe { command: command(&["slow"]), within })]);
    let (ended, took) = waited(&sim, &id, &gate).await;
    assert_eq!(ended, Waited::Failed(GateFailure::Exited { code: 3, out_of_memory: false }));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_breaks_off_is_read_again() {
    let behaviour = Behaviour { writes: vec!["ready".to_owned()], ..Behaviour::default() };
    let (sim, id) = started(behaviour, None).await;
    let mut broken = 3;
    sim.on_call(Box::new(move |call| {
        if call.verb == Verb::FollowLog && broken > 0 {
            broken -= 1;
            return Fault::Error;
        }
        Fault::None
    }));
    let gate = asking(vec![Probe::Log(LogProbe::Line("ready".into()))]);
    let (ended, took) = waited(&sim, &id, &gate).await;
    assert_eq!(ended, Waited::Passed);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn another_run_by_hand_is_asked_everything_anew() {
    let behaviour = Behaviour {
        writes: vec!["one".to_owned()],
        writes_later: vec![(Duration::from_secs(8), "two".to_owned())],
        ..Behaviour::default()
    };
    let (sim, id) = started(behaviour, None).await;
    let lines = ["one", "two"].map(|line| Probe::Log(LogProbe::Line(line.into())));
    let gate = Gate { probes: lines.to_vec(), ..Gate::default() };
    let again = async {
        time::sleep(Duration::from_secs(4)).await;
        sim.stop_container(&id, None).await.unwrap();
        sim.start_container(&id).await.unwrap();
    };
    let ((ended, took), ()) = tokio::join!(waited(&sim, &id, &gate), again);
    assert_eq!(ended, Waited::Passed);
    assert!(took >= Duration::from_secs(12), "the second line came 8 s after the second start: {took:?}");
}
