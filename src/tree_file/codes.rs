//! Every code that the reader of tree files can raise, each with its meaning in one line.
//!
//! `UK01xx` is the file and its syntax, `UK02xx` its content, `UK03xx` warnings, `UK04xx` was parts of
//! the kernel that were not built yet, `UK05xx` the kernel's own settings, from `UK0511` on warnings, `UK06xx` the catalog of
//! events, from `UK0651` on warnings, `UK07xx` chaos plans, from `UK0751` on warnings. A code is never given a second meaning: people search for it.

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)+) => {
        /// What a diagnostic is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!("`", $code, "`: ", $meaning, ".")] $name,)+
        }

        impl Code {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as people see it: `UK0201`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it means, in one line.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }
    };
}

codes! {
    Missing "UK0101" "there is no such file"
    Unreadable "UK0102" "the file cannot be read"
    Folder "UK0103" "the path is a folder"
    Empty "UK0104" "the file is empty"
    NotUtf8 "UK0105" "the file is not UTF-8"
    TooLarge "UK0106" "the file is too large"
    Syntax "UK0107" "the file is not valid YAML"
    SeveralDocuments "UK0108" "the file has more than one YAML document"
    TooDeep "UK0109" "lists and mappings are nested too deep"
    TooManyNodes "UK0110" "the file has too many values, aliases counted"
    TooManyFiles "UK0111" "too many files are included"
    IncludeTooDeep "UK0112" "includes are nested too deep"
    IncludeCycle "UK0113" "a file includes itself"
    UnknownAlias "UK0114" "an alias has no anchor before it"
    DuplicateKey "UK0115" "a key stands twice in a mapping"
    ComplexKey "UK0116" "a key is not a text"
    UnknownTag "UK0117" "a YAML tag is not known or does not fit its value"
    BadMerge "UK0118" "what `<<` merges is not a mapping"
    VariableUnset "UK0119" "a variable is not set and has no default"
    VariableForm "UK0120" "`${` does not begin a variable"

    UnknownKey "UK0201" "a key is not known"
    MissingKey "UK0202" "a required key is missing"
    WrongType "UK0203" "a value has the wrong type"
    Version "UK0204" "the version of the format is not 1"
    BadId "UK0205" "an id or a name has characters that it may not have"
    DuplicateId "UK0206" "two children of a supervisor have the same id"
    ReservedId "UK0207" "the id is the kernel's own"
    KindAndChildren "UK0208" "a child is a worker and a supervisor at once"
    NeitherKindNorChildren "UK0209" "a child is neither a worker nor a supervisor"
    UnknownKind "UK0210" "the kind is not known"
    UnknownWord "UK0211" "a value is not one of the words that are allowed"
    BadDuration "UK0212" "a value is not a duration"
    OutOfRange "UK0213" "a value is out of its range"
    BackoffOrder "UK0214" "the shortest pause is longer than the longest"
    NeedsUnknown "UK0215" "a child needs a sibling that does not exist"
    NeedsLater "UK0216" "a child needs a sibling that starts after it"
    NeedsItself "UK0217" "a child needs itself"
    WrongOwner "UK0218" "the key belongs to another sort of child"
    BadSettings "UK0219" "settings do not fit their kind"
    BadInclude "UK0220" "an include is not the path of a list of children"
    NoStateToKeep "UK0221" "the kind has no state to keep"
    SignificantNever "UK0231" "a child is significant, and its supervisor never ends by itself"
    SignificantPermanent "UK0232" "a child is significant and permanent at once"
    TemplateAndChildren "UK0241" "a supervisor has a list of children and a template"
    MaxWithoutTemplate "UK0242" "`max_children` has no template to bound"
    NotInTemplate "UK0243" "the key cannot be the same for all children of a template"
    TemplateStrategy "UK0244" "children of a template are restarted one for one only"
    TemplateAutoShutdown "UK0245" "the end of a template's children cannot end their supervisor"
    PartitionsAlone "UK0246" "`partitions` has no template to make them from, or a bound beside it"
    HealthOrder "UK0251" "an answer for health may take longer than the time between two questions"
    StepNeverReached "UK0261" "a step of a ladder can never be reached"
    StepNotWaitedFor "UK0262" "a step of a ladder asks for no more crashes than one before it"
    StepActions "UK0263" "a step of a ladder does nothing, or two things at once"
    SwapMisfit "UK0264" "what a ladder lays over the settings does not fit the kind"
    QuarantineInGroup "UK0265" "a child is quarantined whose siblings stop and start with it"
    LadderTemporary "UK0266" "a child that is never restarted has a ladder"
    SecretPlace "UK0271" "a secret stands outside of settings"
    SecretName "UK0272" "a secret has no name, or one that it may not have"
    SecretMissing "UK0273" "a secret is missing"
    SecretUnusable "UK0274" "a secret is there and cannot be used"
    PlaceUnnamed "UK0281" "a place names no node, or names it in two ways"
    PlaceHere "UK0282" "a place names the node whose tree it is in"
    PlaceElsewhere "UK0283" "a child may go elsewhere, and only one node fits it"

    FiniteSupervisor "UK0301" "a supervisor is killed if its children take long to stop"
    TransientSupervisor "UK0302" "a supervisor that gives up stays down, without an alarm"
    ShutdownTooLong "UK0303" "a child may take longer to stop than its supervisor"
    BudgetNeverSpent "UK0304" "the pauses are so long that the restart limit is never reached"
    NoChildren "UK0305" "a supervisor has no children"
    EssentialBelowRoot "UK0306" "`essential` has no effect below the children of the root"
    StrayQuote "UK0307" "a text ends with a quote that it does not begin with"
    SwallowedItem "UK0308" "a list item is read as a part of the text above it"
    NoSignificantChild "UK0311" "a supervisor would end with its significant children, and has none"
    RestartedAfterEnd "UK0312" "a supervisor that ends itself is started again"
    SwapChangesNothing "UK0313" "what a ladder lays over the settings changes nothing"
    QuarantineEssential "UK0314" "a child that is essential may be quarantined"
    SecretNotHere "UK0316" "a secret is not on this machine"
    SecretOpen "UK0317" "the file of a secret can be read by others"
    EssentialPlaced "UK0318" "a child that is essential lives on another node"
    KindElsewhere "UK0319" "the kind of a child of another node is not known here"

    UnknownSystemKey "UK0501" "a key of the kernel's own settings is not known"
    SystemType "UK0502" "a value of the kernel's own settings has the wrong type"
    SystemDuration "UK0503" "a value of the kernel's own settings is not a duration"
    SystemSize "UK0504" "a value of the kernel's own settings is not a size"
    SystemRange "UK0505" "a value of the kernel's own settings is out of its range"
    LogFilter "UK0506" "a value is not a filter of the log"
    SystemName "UK0507" "a text cannot be the name of a node"
    ConfigFolder "UK0508" "a folder of settings cannot be read"
    VariableNotUtf8 "UK0509" "a variable that sets something is not UTF-8"
    SystemAddress "UK0510" "a value of the kernel's own settings is not an address to listen on"
    UnknownVariable "UK0511" "a variable that begins with `UK_` means nothing"

    UnknownEventKey "UK0601" "a key of the catalog of events is not known"
    EventValueType "UK0602" "a value of the catalog of events has the wrong type"
    EventKeyMissing "UK0603" "a required key of the catalog of events is missing"
    EventVersion "UK0604" "the version of the format of the catalog of events is not 1"
    BadTopic "UK0605" "a text is neither a topic nor a pattern"
    BadSchema "UK0606" "the schema of a type of events is none"
    EventDuration "UK0607" "a value of the catalog of events is not a duration"
    EventSize "UK0608" "a value of the catalog of events is not a size"
    EventRange "UK0609" "a value of the catalog of events is out of its range"
    EventWord "UK0610" "a value of the catalog of events is not one of the words that are allowed"
    BadStreamName "UK0611" "a text cannot be the name of a stream"
    RetentionDiffers "UK0612" "two types of events keep one stream differently"
    BadPublisher "UK0613" "a publisher of events is not a path"
    StreamUnbounded "UK0651" "nothing bounds a stream"

    UnknownPlanKey "UK0701" "a key of a chaos plan is not known"
    PlanValueType "UK0702" "a value of a chaos plan has the wrong type"
    PlanKeyMissing "UK0703" "a required key of a chaos plan is missing"
    PlanVersion "UK0704" "the version of the format of a chaos plan is not 1"
    UnknownFault "UK0705" "a fault of a chaos plan is not known"
    UnknownProbe "UK0706" "a probe of a chaos plan is not known"
    PlanRate "UK0707" "a value of a chaos plan is not a rate"
    PlanPath "UK0708" "a value of a chaos plan is no path, or no pattern of paths"
    PlanDuration "UK0709" "a value of a chaos plan is not a duration"
    PlanRange "UK0710" "a value of a chaos plan is out of its range"
    PlanKind "UK0711" "a kind in a chaos plan is not known"
    ActTarget "UK0712" "an act has no target though its fault needs one, or has one that it cannot have"
    PlanEmpty "UK0713" "a chaos plan does nothing"
    PlanNode "UK0714" "a value of a chaos plan is no name of a node, or no pattern of such names"
    PlanWord "UK0715" "a value of a chaos plan is not one of the words that are allowed"
    AllSpared "UK0751" "a chaos plan spares all that it could strike"
}

impl Code {
    /// Whether it is a warning: the tree can run all the same.
    #[must_use]
    pub fn is_warning(self) -> bool {
        ["UK03", "UK051", "UK065", "UK075"]
            .iter()
            .any(|lead| self.as_str().starts_with(lead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_sorted_and_well_formed() {
        let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();

        assert_eq!(names, sorted);
        for code in Code::ALL {
            assert_eq!(code.as_str().len(), 6, "{code:?}");
            assert!(!code.meaning().ends_with('.'), "{code:?}");
        }
    }
}
