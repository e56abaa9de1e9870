//! Each rule of `tidy` as a test, so that a failure names the rule it breaks.

use tidy::{Tree, rules};

fn check(rule: rules::Rule) {
    let tree = Tree::of_workspace().expect("the checkout is readable");
    assert!(!tree.files.is_empty(), "no file to check: not in a checkout?");
    let found = rule(&tree);
    let report: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "\n{}\n", report.join("\n"));
}

macro_rules! rules {
    ($($rule:ident),* $(,)?) => {$(
        #[test]
        fn $rule() {
            check(rules::$rule);
        }
    )*
        #[test]
        fn every_rule_is_checked() {
            let checked: &[rules::Rule] = &[$(rules::$rule),*];
            assert_eq!(checked.len(), rules::ALL.len());
        }
    };
}

rules!(
    crates_depend_one_way,
    the_world_is_reached_through_reactor,
    unsafe_stays_in_reactor,
    files_are_named_after_the_domain,
    module_roots_only_list,
    nothing_is_left_undone,
    nothing_names_the_machine,
    generated_files_say_so,
    marks_have_their_test,
    planted_bugs_are_listed,
    decisions_are_numbered_once,
    files_stay_readable,
);
